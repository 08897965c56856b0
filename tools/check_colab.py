"""Show that the course runs where Colab's packages are: ``python tools/check_colab.py PINS [--python python3.12]``.

PINS is a file of ``name==version`` lines, what Colab has preinstalled. In a clean environment: build the wheel, install it with PINS as
constraints (pip refuses when a preinstalled package would have to change), and run every learner's notebook from an empty folder, as Colab
opens it: alone, without this checkout.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN = """
import sys, nbformat, time
from nbclient import NotebookClient
import kdcourse, tensorflow, keras, ipywidgets
print("kdcourse is read from site-packages:", "site-packages" in kdcourse.__file__)
print("tensorflow", tensorflow.__version__, "keras", keras.__version__, "ipywidgets", ipywidgets.__version__)
for path in sys.argv[1:]:
    began = time.monotonic()
    NotebookClient(nbformat.read(path, as_version=4), timeout=600, kernel_name="python3").execute()
    print(f"{path.rpartition('/')[2]}: ran from an empty folder in {time.monotonic() - began:.0f} s", flush=True)
"""


def main() -> None:
    """Run the check; the exit code is that of the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pins", type=Path)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    if not given.pins.is_file():
        parser.error(f"PINS must be a file, got {given.pins}")
    notebooks = [str(p) for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    with tempfile.TemporaryDirectory() as folder:
        python, empty = Path(folder) / "venv" / "bin" / "python", Path(folder) / "empty"
        empty.mkdir()

        def run(*command):
            subprocess.run([str(part) for part in command], check=True, cwd=empty)

        run(given.python, "-m", "venv", f"{folder}/venv")
        run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", f"{folder}/dist", ROOT)
        (wheel,) = Path(folder, "dist").glob("*.whl")
        run(python, "-m", "pip", "install", "-q", "-c", given.pins.resolve(), wheel)
        run(python, "-m", "pip", "install", "-q", "-c", given.pins.resolve(), "ipykernel", "nbclient")  # Colab has a front end of its own
        run(python, "-m", "pip", "check")
        run(python, "-c", RUN, *notebooks)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
