"""Checks the version and every patch, applies the patches, and runs ministack.

The environment configures ministack (`GATEWAY_PORT`, `AUTH`, …) and the optional
patches (`LOCAL_AWS_…`, described in each patch).
"""
import os
import sys

from .patch import PatchError, apply_patches, check_version


def main() -> None:
    try:
        # Before the patches are imported: their imports are those of the pinned version.
        version = check_version()
        from .patches import PATCHES

        applied = apply_patches(PATCHES, os.environ)
    except PatchError as error:
        sys.exit(f"local AWS: {error}")
    print(f"local AWS: ministack {version} with the patches {', '.join(applied)}", flush=True)

    from ministack.app import main as run_ministack

    run_ministack()


if __name__ == "__main__":
    main()
