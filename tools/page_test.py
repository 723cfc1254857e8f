"""Tests `docket ui` in Chromium, on a local AWS that runs.

The scenario uploads a folder, watches it finish, filters, opens a job, retries over a
filter, and exports. The test also checks accessibility with axe, a phone's width, the
keyboard, and that texts of documents are never executed. It takes a picture of each view
in light and dark; `--docs` writes the pictures into docs/guide/page/.

It runs in .venv/browser, which setup.py installs. `test.py` and `make page-pictures` run it.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from processes import ROOT

DOCUMENTS = ROOT / "events" / "documents"
PICTURES = ROOT / "docs" / "guide" / "page"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# An impact of axe that fails the test. https://github.com/dequelabs/axe-core/blob/develop/doc/issue_impact.md
SERIOUS = ("serious", "critical")
PICTURE_MAX_BYTES = 120_000
SCHEMES = ("light", "dark")
DESKTOP, PHONE = {"width": 900, "height": 640}, {"width": 390, "height": 800}
WAIT_MS = 120_000
ATTACK = "<script>window.attacked = true</script><img src=x onerror='window.attacked = true'>"
BAD = "north/blank.txt"
# White space alone is no document: the job fails before a call.
FILES = {BAD: "   \n", "north/attack.txt": f"Dear Sir, {ATTACK} the rent of unit 7 is due.", "north/.DS_Store": "x"}


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome; the variable CHROMIUM names another one."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


class Page:
    """A running `docket ui`, by its printed address."""

    def __init__(self, *arguments: str) -> None:
        binary = os.environ["DOCKET_BINARY"]
        command = [binary, "ui", "--local", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = self.process.stdout.readline().strip()
        self.origin = self.address.split("/open", 1)[0]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class PageTest(unittest.TestCase):
    """One scenario in the order of its steps: each step needs the batch of the first one."""

    pictures: Path
    batch: str

    @classmethod
    def setUpClass(cls) -> None:
        from playwright.sync_api import sync_playwright

        cls.folder = Path(tempfile.mkdtemp(prefix="docket-page-"))
        shutil.copytree(DOCUMENTS, cls.folder / "leases")
        for name, text in FILES.items():
            path = cls.folder / "leases" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        # Slow enough that the page shows a running batch.
        set_model_behaviour({"latency_ms": 1_500})
        cls.served = Page("--write")
        cls.playwright = sync_playwright().start()
        # A container's root needs --no-sandbox; the browser opens this page alone.
        cls.browser = cls.playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        cls.context = cls.browser.new_context(viewport=DESKTOP, accept_downloads=True)
        cls.context.set_default_timeout(WAIT_MS)
        cls.page = cls.context.new_page()
        cls.problems: list[str] = []
        cls.page.on("console", cls.note_console)
        cls.page.on("pageerror", lambda error: cls.problems.append(str(error)))
        cls.page.on("request", cls.note_request)
        cls.page.goto(cls.served.address)

    @classmethod
    def note_console(cls, message) -> None:
        if message.type == "error":
            cls.problems.append(message.text)

    @classmethod
    def note_request(cls, request) -> None:
        """The page may use the images of the bucket, and otherwise nothing from another host."""
        is_own = request.url.startswith((cls.served.origin + "/", "data:", "blob:", "about:"))
        if not is_own and request.resource_type != "image":
            cls.problems.append(f"a request of another host: {request.url}")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.context.close()
        cls.browser.close()
        cls.playwright.stop()
        cls.served.end()
        set_model_behaviour({"latency_ms": 0})
        shutil.rmtree(cls.folder)

    def tearDown(self) -> None:
        self.assertEqual(self.problems, [], "the page caused errors in the browser")
        self.assertIsNone(self.page.evaluate("window.attacked ?? null"), "a text of a document was executed")

    def open(self, path: str) -> None:
        self.page.goto(self.served.origin + path)

    def check_accessibility(self, view: str) -> None:
        """Checks a view with axe in light and dark, and takes its pictures."""
        from axe_playwright_python.sync_playwright import Axe

        self.pictures.mkdir(parents=True, exist_ok=True)
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            found = Axe().run(self.page).response["violations"]
            serious = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in SERIOUS]
            self.assertEqual(serious, [], f"axe: {view} in {scheme}")
            picture = self.pictures / f"{view}-{scheme}.png"
            self.page.screenshot(path=picture)
            if self.pictures == PICTURES:
                self.assertLess(picture.stat().st_size, PICTURE_MAX_BYTES, f"{picture.name} is too large for the docs")
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(PHONE)
        overflow = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        self.assertLessEqual(overflow, 0, f"{view} is wider than a phone")
        self.page.set_viewport_size(DESKTOP)

    def open_form(self) -> None:
        """Opens the form of a new batch, which is open only if there is no batch."""
        if self.page.locator("#new").get_attribute("open") is None:
            self.page.locator("#new > summary").click()

    def count_rows(self) -> int:
        return self.page.locator("table.jobs tbody tr").count()

    def test_1_folder_becomes_a_batch_that_finishes_live(self) -> None:
        page = self.page
        self.open("/")
        self.open_form()
        page.get_by_label("Batch", exact=True).fill(self.batch)
        page.get_by_label("Labels, separated by commas").fill("lease, letter, complaint, contract, other")
        page.set_input_files("#folder", self.folder / "leases")
        self.assertIn("Chosen files: 16,", page.locator("#chosen").inner_text())
        page.get_by_role("button", name="Upload").click()
        # The system file is skipped with its reason, which stays in view.
        page.get_by_text("north/.DS_Store: skipped: system file").wait_for()
        page.get_by_text(f"15 of 16 files are in the batch {self.batch}.").wait_for()
        self.open(f"/batches/{self.batch}")
        # No reload from here on: the events bring the end.
        page.evaluate("window.isTheSamePage = true")
        page.locator("#summary .swatch.complete", has_text="14 complete").wait_for()
        page.locator("#summary .swatch.failed", has_text="1 failed").wait_for()
        page.locator(".ranking caption", has_text="Labels").wait_for()
        page.locator("#jobs tbody tr").nth(14).wait_for()
        self.assertTrue(page.evaluate("window.isTheSamePage"))
        self.assertIn("100%", page.locator("#summary .counts").inner_text())
        # Folder names of the upload are names in the batch; the chosen folder's own name is none.
        self.assertEqual(page.get_by_role("link", name=BAD, exact=True).count(), 1)

    def test_2_dropped_folder_joins_the_batch_once(self) -> None:
        page = self.page
        self.open("/")
        place = {"x": 300, "y": 400}
        # A drag of the operating system, as far as a browser without a screen has one.
        files = {"items": [], "files": [str(self.folder / "leases")], "dragOperationsMask": 1}
        session = self.context.new_cdp_session(page)
        for kind in ("dragEnter", "dragOver", "drop"):
            session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": files})
        page.get_by_text("Chosen files: 16,").wait_for()
        page.get_by_label("Batch", exact=True).fill(self.batch)
        page.get_by_role("button", name="Upload").click()
        page.get_by_text(f"15 of 16 files are in the batch {self.batch}.").wait_for()
        # The same path with the same bytes is the same job.
        self.open(f"/batches/{self.batch}")
        page.locator("#summary .counts", has_text="15 jobs").wait_for()

    def test_3_filters_are_in_the_address(self) -> None:
        page = self.page
        self.open(f"/batches/{self.batch}")
        page.get_by_label("Status").select_option("failed")
        page.get_by_role("button", name="Filter", exact=True).click()
        page.wait_for_url("**status=failed**")
        self.assertEqual(self.count_rows(), 1)
        page.reload()
        self.assertEqual(self.count_rows(), 1)
        self.assertEqual(page.get_by_label("Status").input_value(), "failed")
        self.open(f"/batches/{self.batch}?name=north%2F")
        self.assertEqual(self.count_rows(), 2)
        page.locator(".ranking th a").first.click()
        page.wait_for_url("**label=**")
        self.assertGreater(self.count_rows(), 0)

    def test_4_job_has_document_result_and_evidence(self) -> None:
        page = self.page
        self.open(f"/batches/{self.batch}?name=lease.txt")
        page.get_by_role("link", name="lease.txt", exact=True).click()
        page.locator("pre.document mark").first.wait_for()
        self.assertIn("count against MaxAttempts", page.locator(".explanation").inner_text())
        self.check_accessibility("job")
        for name, selector in [("floor-plan.png", "img.document"), ("bridge-report.pdf", "a[rel='noopener noreferrer']")]:
            self.open(f"/batches/{self.batch}?name={name}")
            page.get_by_role("link", name=name, exact=True).click()
            page.locator(selector).first.wait_for()
        self.open(f"/batches/{self.batch}?name=floor-plan.png")
        page.get_by_role("link", name="floor-plan.png", exact=True).click()
        width = "document.querySelector('img.document')?.naturalWidth > 0"
        page.wait_for_function(width)
        self.open(f"/batches/{self.batch}?name=attack.txt")
        page.get_by_role("link", name="north/attack.txt", exact=True).click()
        self.assertIn(ATTACK, page.locator("pre.document").inner_text())

    def test_5_retry_over_a_filter_names_its_number(self) -> None:
        page = self.page
        self.open(f"/batches/{self.batch}?error=document_empty")
        page.get_by_role("link", name="Retry failed jobs…").click()
        page.get_by_role("heading", name=f"Retry 1 jobs of {self.batch}?").wait_for()
        page.get_by_role("button", name="Retry 1 jobs").click()
        page.locator("#summary .operation", has_text="1 of 1 jobs retried").wait_for()
        # The document is still empty: its second attempt fails, too.
        page.locator("#summary .swatch.failed", has_text="1 failed").wait_for()
        page.get_by_role("link", name=BAD, exact=True).click()
        page.locator(".explanation", has_text="Send the right document.").wait_for()
        self.assertGreaterEqual(page.locator("ol.attempts li").count(), 1)

    def test_6_export_has_the_filter(self) -> None:
        self.open(f"/batches/{self.batch}")
        for name, ending in [("Export CSV", "csv"), ("Export JSON Lines", "jsonl")]:
            with self.page.expect_download() as started:
                self.page.get_by_role("link", name=name).click()
            download = started.value
            self.assertEqual(download.suggested_filename, f"{self.batch}.{ending}")
            text = Path(download.path()).read_text()
            if ending == "csv":
                self.assertTrue(text.startswith("job_id,name,status,label,"), text[:80])
                self.assertIn(",lease.txt,complete,", text)
            else:
                jobs = [json.loads(line) for line in text.splitlines()]
                self.assertEqual(len(jobs), 14)

    def test_7_batch_is_paused_and_resumed(self) -> None:
        page, name = self.page, f"{self.batch}-second"
        # Paused before its first job, so that the batch cannot end before the pause.
        page.evaluate("name => fetch('/batches', {method: 'POST', body: new URLSearchParams({batch: name})})", name)
        self.open(f"/batches/{name}")
        page.get_by_role("button", name="Pause").click()
        page.locator("#summary .waits", has_text="paused since").wait_for()
        self.open("/")
        self.open_form()
        page.get_by_label("Batch", exact=True).fill(name)
        page.set_input_files("#folder", DOCUMENTS)
        page.get_by_role("button", name="Upload").click()
        page.wait_for_url(f"**/batches/{name}")
        page.locator("#summary .counts", has_text=f"of {len(list(DOCUMENTS.iterdir()))} jobs").wait_for()
        self.open("/")
        self.check_accessibility("batches")
        card = page.locator("article.card", has=page.get_by_role("link", name=name, exact=True))
        card.get_by_role("button", name="Resume").click()
        page.wait_for_url(f"**/batches/{name}")
        page.wait_for_function("document.querySelector('#summary') && !document.querySelector('#summary .waits')")

    def test_8_batch_is_accessible_in_light_and_dark(self) -> None:
        self.open(f"/batches/{self.batch}")
        self.page.locator(".histogram").wait_for()
        self.check_accessibility("batch")

    def test_9_keyboard_reaches_content_filter_and_job(self) -> None:
        page = self.page
        self.open(f"/batches/{self.batch}")
        page.keyboard.press("Tab")
        self.assertEqual(page.evaluate("document.activeElement.textContent"), "Skip to the content")
        page.keyboard.press("Enter")
        self.assertEqual(page.evaluate("document.activeElement.id"), "main")
        page.focus("#name-filter")
        page.keyboard.type("lease.txt")
        page.keyboard.press("Enter")
        page.wait_for_url("**name=lease.txt**")
        page.focus("table.jobs a")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/**")

    def test_a_read_only_page_has_no_action_and_needs_the_token(self) -> None:
        served = Page()
        try:
            context = self.browser.new_context()
            page = context.new_page()
            self.assertEqual(page.goto(served.origin + "/").status, 403)
            page.goto(served.address)
            self.assertIn("read-only", page.locator("header").inner_text())
            self.assertEqual(page.locator("form[method=post]").count(), 0)
            context.close()
        finally:
            served.end()


def set_model_behaviour(behaviour: dict) -> None:
    endpoint = re.search(r"^ModelEndpointUrl=(.*)$", Path(os.environ["DOCKET_OUTPUTS"]).read_text(), re.MULTILINE)[1]
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{endpoint}/_behaviour", json.dumps(behaviour).encode(), headers, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, default=ROOT / ".local" / "outputs.env", help="outputs of the stack")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "debug" / "docket", help="the docket to test")
    parser.add_argument("--batch", help="name of the batch")
    parser.add_argument("--docs", action="store_true", help="write the pictures into docs/guide/page/")
    arguments = parser.parse_args()
    if find_chromium() is None:
        print("page: there is no Chromium; install it (Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    os.environ |= {"DOCKET_OUTPUTS": str(arguments.outputs.resolve()), "DOCKET_BINARY": str(arguments.binary.resolve())}
    PageTest.pictures = PICTURES if arguments.docs else arguments.outputs.resolve().parent / "page"
    # The pictures of the docs have a plain name.
    default = "leases-2026" if arguments.docs else f"page-{int(time.time())}"
    PageTest.batch = arguments.batch or default
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(PageTest)
    result = unittest.TextTestRunner(verbosity=2, failfast=True).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
