"""The local AWS: ministack at its pinned version, with patches.

`python -m tools.ministack`, run in the repository's root, starts it. `patches`
lists the patches. Run from the root, `import ministack` is the installed
package and `tools.ministack` is this one; no script in `tools/` imports either.
"""
