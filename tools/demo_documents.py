"""Documents as people really have them, made for the demo: a mail with an attachment, a rich
text, a text of an old Windows program, a PDF of 12 MB, and the litter of a file manager."""
import random
import shutil
from email.message import EmailMessage
from pathlib import Path

SEED = 12
PDF_PAGES, PAGE_PICTURE_BYTES = 12, 1_000_000
LITTER = {".DS_Store": b"\0\0\0\1Bud1", "Thumbs.db": b"thumbnails", "~$lease.docx": b"lock"}


def make_documents(samples: Path, folder: Path) -> int:
    """Copies the samples to a new folder, and adds the other documents.

    Returns the number of jobs: the attachment of the mail is one, and litter is none."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(samples, folder)
    (folder / "notice.eml").write_bytes(make_mail())
    (folder / "memo.rtf").write_text(
        r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Memo to all staff.\par The office is closed on 24 December"
        r" 2026. \b Urgent\b0  post is collected at noon, and the caf\'e9 stays open until 3 p.m.\par}"
    )
    (folder / "mahnung.txt").write_bytes(
        "Sehr geehrter Herr Müller,\r\n\r\ndie Miete für März in Höhe von 850,00 € ist noch nicht eingegangen. "
        "Bitte überweisen Sie den Betrag bis zum 20.03.2026.\r\n\r\nMit freundlichen Grüßen\r\nJörg Weiß\r\n".encode("cp1252")
    )
    (folder / "survey.pdf").write_bytes(make_pdf())
    for name, content in LITTER.items():
        (folder / name).write_bytes(content)
    return len(list(samples.iterdir())) + 4 + 1


def make_mail() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Rosalind Okafor-Hay <r@example.org>", "Office <office@example.org>"
    mail["Subject"], mail["Date"] = "Notice for unit 7", "Mon, 02 Mar 2026 09:00:00 +0000"
    mail["Message-ID"] = "<notice-7@example.org>"
    mail.set_content("Dear Sir,\n\nplease find my notice for unit 7 attached. I move out on 31 May 2026.\n\nYours faithfully,\nR. Okafor-Hay\n")
    attachment = "I give notice for unit 7 of 12 Mill Lane. The lease ends on 31 May 2026, and the deposit is 1,700 euros.\n"
    mail.add_attachment(attachment, filename="notice.txt")
    return mail.as_bytes()


def make_pdf() -> bytes:
    """A PDF whose pages have a text and a picture that cannot be compressed."""
    generator = random.Random(SEED)
    pages = range(PDF_PAGES)
    kids = " ".join(f"{4 + 3 * page} 0 R" for page in pages)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {PDF_PAGES} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in pages:
        number = 4 + 3 * page
        text = f"BT /F1 12 Tf 72 760 Td (Survey of building {page + 1}. The roof was repaired at a cost of {900 + page} euros.) Tj ET"
        text += " q 400 0 0 400 72 200 cm /I0 Do Q"
        resources = f"<< /Font << /F1 3 0 R >> /XObject << /I0 {number + 2} 0 R >> >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources {resources} /Contents {number + 1} 0 R >>".encode()
        )
        objects.append(make_stream("", text.encode()))
        picture = "/Type /XObject /Subtype /Image /Width 1000 /Height 1000 /ColorSpace /DeviceGray /BitsPerComponent 8"
        objects.append(make_stream(picture, generator.randbytes(PAGE_PICTURE_BYTES)))
    pdf, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(pdf))
        pdf += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    start = len(pdf)
    pdf += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    pdf += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    pdf += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(pdf)


def make_stream(entries: str, content: bytes) -> bytes:
    return f"<< {entries} /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"
