"""A widget looked at as a reader does: a browser of this machine, a bare page, a JupyterLab of its own. For tests and benchmarks."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_BROWSER = "no Chromium or Chrome found: on Debian, apt-get install chromium; elsewhere, install Google Chrome"
MAC_APPS = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
]
NOT_SERVED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "node_modules")

# What the notebook page must look like to a test: no news, no update check, and every cell in the page however far down it is.
SETTINGS = """{
  "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false},
  "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}
}"""
KERNEL_IDLE = """() => {
  const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
  return kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""

# The least that anywidget's model does: values by name, events on a change, and views drawn from the widget's own module and style.
BARE_PAGE = """async ({esm, css, values, views}) => {
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const heard = new Map();
  window.saves = 0;
  window.model = {
    get: (name) => values[name],
    set(name, value) {
      if (values[name] === value) return;
      values[name] = value;
      for (const callback of heard.get("change:" + name) ?? []) callback();
    },
    on: (event, callback) => heard.set(event, [...(heard.get(event) ?? []), callback]),
    off: (event, callback) => heard.set(event, (heard.get(event) ?? []).filter((other) => other !== callback)),
    save_changes: () => { window.saves += 1; },
  };
  window.listeners = () => [...heard.values()].flat().length;
  const module = await import(URL.createObjectURL(new Blob([esm], {type: "text/javascript"})));
  window.cleanups = Array.from({length: views}, () => module.default.render({
    model, el: document.body.appendChild(document.createElement("div")),
  }));
}"""


@functools.cache  # every test asks, and each look starts a process
def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome on this machine that starts, or None.

    Ubuntu's chromium is a snap: it may not read the temporary folders of the tests.
    """
    named = [shutil.which(name) for name in ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")]
    for path in [*filter(None, named), *MAC_APPS]:
        if Path(path).exists() and "/snap/" not in str(Path(path).resolve()) and _starts(path):
            return path
    return None


def _starts(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def launch(playwright, path: str):
    """Return a headless browser: `path` driven by `playwright` (what sync_playwright() gives)."""
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def show(page, widget, views=1):
    """Show an anywidget in a bare page, without a kernel; its model is the page's `model`, each view's cleanup in `cleanups`."""
    show_state(page, widget.get_state(), views)


def show_state(page, state: dict, views=1):
    """Show an anywidget of which only the state is left, as a notebook stores it."""
    page.set_content("<!doctype html><html><body></body></html>")
    values = {name: value for name, value in state.items() if not name.startswith("_")}
    page.evaluate(BARE_PAGE, {"esm": state["_esm"], "css": state["_css"], "values": values, "views": views})


class Lab:
    """A running JupyterLab. `open` a notebook in a page, then run its cells there."""

    def __init__(self, url: str, token: str):
        """Keep where it is served, and the token that opens it."""
        self.url, self.token = url, token

    def open(self, page, name: str) -> None:
        """Open the notebook `name` (relative to the served folder) and wait until its kernel is idle."""
        page.goto(f"{self.url}/doc/tree/{name}?token={self.token}&reset")
        page.wait_for_function(KERNEL_IDLE, timeout=180_000)

    def run_all(self, page) -> None:
        """Run every cell and wait until the last has finished."""
        page.evaluate("async () => { await jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def run_cell(self, page, index: int) -> str:
        """Run the cell `index` (counted from 0) and return the text of its outputs."""
        page.evaluate(
            """async (index) => {
              jupyterapp.shell.currentWidget.content.activeCellIndex = index;
              await jupyterapp.commands.execute("notebook:run-cell");
            }""",
            index,
        )
        outputs = page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea-output").all_inner_texts()
        return "\n".join(outputs).strip()

    def active_cell(self, page) -> int:
        """Return the index of the selected cell."""
        return page.evaluate("() => jupyterapp.shell.currentWidget.content.activeCellIndex")

    def error_outputs(self, page) -> list[str]:
        """Return the text of every output that is a traceback."""
        return page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts()


@contextlib.contextmanager
def jupyterlab(folder: Path, scratch: Path):
    """Serve a copy of `folder` in a JupyterLab that uses nothing of the user's and leaves nothing behind; yields a `Lab`.

    Settings, runtime files, workspaces and the copy lie under `scratch` (an empty folder, such as pytest's tmp_path).
    The kernel is the one of the running Python.
    """
    site, home = scratch / "site", scratch / "jupyter"
    shutil.copytree(folder, site, ignore=NOT_SERVED)
    dirs = {name: home / name for name in ("config", "data", "runtime", "settings", "user_settings", "workspaces", "ipython")}
    for path in dirs.values():
        path.mkdir(parents=True)
    (dirs["settings"] / "overrides.json").write_text(SETTINGS)
    env = os.environ | {
        "JUPYTER_CONFIG_DIR": str(dirs["config"]),
        "JUPYTER_DATA_DIR": str(dirs["data"]),
        "JUPYTER_RUNTIME_DIR": str(dirs["runtime"]),
        "IPYTHONDIR": str(dirs["ipython"]),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, url = "test", f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={site}"),
        *("--LabApp.expose_app_in_browser=True", f"--LabApp.app_settings_dir={dirs['settings']}"),
        *(f"--LabApp.user_settings_dir={dirs['user_settings']}", f"--LabApp.workspaces_dir={dirs['workspaces']}"),
    ]
    log = scratch / "jupyterlab.log"
    with log.open("w") as sink, subprocess.Popen(command, env=env, cwd=site, stdout=sink, stderr=subprocess.STDOUT) as server:
        try:
            _wait_until_served(f"{url}/api/status?token={token}", server, log)
            yield Lab(url, token)
        finally:
            server.terminate()  # its kernels go with it
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_until_served(url: str, server: subprocess.Popen, log: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start within {seconds:.0f} s, its log ends:\n{log.read_text()[-2000:]}")
