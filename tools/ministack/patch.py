"""A patch to ministack: its targets, its check, and its application."""
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements.txt"


class PatchError(Exception):
    """The installed ministack is not the one that the patches were written for."""


@dataclass(frozen=True)
class Target:
    """A name of ministack that a patch replaces or calls."""

    owner: object
    name: str
    # The parameters of a function; None for any other value.
    parameters: tuple[str, ...] | None = None

    def check(self) -> None:
        """Raises PatchError if the name is missing or its parameters differ."""
        title = f"{getattr(self.owner, '__name__', self.owner)}.{self.name}"
        try:
            value = getattr(self.owner, self.name)
        except AttributeError:
            raise PatchError(f"{title} does not exist") from None
        if self.parameters is None:
            return
        if not callable(value):
            raise PatchError(f"{title} is not a function")
        found = tuple(inspect.signature(value).parameters)
        if found != self.parameters:
            raise PatchError(f"{title} takes ({', '.join(found)}), not ({', '.join(self.parameters)})")


@dataclass(frozen=True)
class Patch:
    """One difference between ministack and AWS, and its remedy.

    The docstring of the patch's module says what AWS does, what ministack does,
    and what the patch changes.
    """

    name: str
    targets: tuple[Target, ...]
    # Whether ministack still lacks what the patch adds. It runs before any patch is applied.
    is_needed: Callable[[], bool]
    apply: Callable[[Mapping[str, str]], None]
    # The environment variable that switches an optional patch on; None for a patch that always applies.
    option: str | None = None

    def is_enabled(self, environment: Mapping[str, str]) -> bool:
        return self.option is None or environment.get(self.option, "") not in ("", "0")

    def check(self) -> None:
        """Raises PatchError if a target has changed, or if the patch is obsolete."""
        try:
            for target in self.targets:
                target.check()
            needed = self.is_needed()
        except PatchError as error:
            raise PatchError(f"patch {self.name} does not fit: {error}; adapt tools/ministack") from None
        except Exception as error:
            raise PatchError(f"patch {self.name} cannot be checked: {error!r}; adapt tools/ministack") from error
        if not needed:
            raise PatchError(f"patch {self.name} is obsolete, ministack now does the same: delete the patch")


def read_pinned_version(requirements: Path = REQUIREMENTS) -> str:
    """The version of ministack that the requirements file pins."""
    pin = re.search(r"^ministack==([^\s;]+)( \\)?$", requirements.read_text(), re.M)
    if pin is None:
        raise PatchError(f"{requirements.name} must pin one version: ministack==…")
    return pin.group(1)


def check_version(requirements: Path = REQUIREMENTS) -> str:
    """The installed version; raises PatchError unless it is the pinned one."""
    pinned, installed = read_pinned_version(requirements), metadata.version("ministack")
    if installed != pinned:
        raise PatchError(f"ministack {installed} is installed, but {requirements.name} pins {pinned}: run `make setup`")
    return installed


def apply_patches(patches: Iterable[Patch], environment: Mapping[str, str]) -> list[str]:
    """Checks all patches, then applies the enabled ones; returns their names."""
    patches = list(patches)
    for patch in patches:
        patch.check()
    enabled = [patch for patch in patches if patch.is_enabled(environment)]
    for patch in enabled:
        patch.apply(environment)
    return [patch.name for patch in enabled]
