"""A released assignment in JupyterLab in a real browser: it opens, and runs up to the first blank."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import course_mini as mini
import pytest

from minidl.course import notebook as nb

pytestmark = pytest.mark.notebook
BLANKS = sorted((mini.FOLDER.parent / "minidl" / "course" / "blanks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves the blank copies."""
    pytest.importorskip("jupyterlab", reason="opening a released notebook needs JupyterLab")
    folder = tmp_path_factory.mktemp("lab")
    for path in BLANKS:
        shutil.copy(path, folder)
    home = {name: str(folder / "home") for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    log = (folder / "log.txt").open("w+")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
         "--LabApp.expose_app_in_browser=True", "--IdentityProvider.token=", "--ServerApp.password=",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", f"--notebook-dir={folder}"],
        cwd=folder, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **home},
    )  # fmt: skip
    try:
        address = _wait(lambda: re.search(r"http://127\.0\.0\.1:\d+", (folder / "log.txt").read_text())).group()
        _wait(lambda: urllib.request.urlopen(f"{address}/api", timeout=5).status == 200)
        yield address
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture(scope="module")
def browser():
    """Chromium without a screen, driven by selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="opening a released notebook needs selenium")
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    driver = shutil.which("chromedriver")
    if not any(found) or not driver:
        pytest.skip("opening a released notebook needs Chromium and its driver")
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, found))
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,2400", "disable-sync",
        "disable-background-networking", "disable-component-update", "no-first-run",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


def _wait(condition, seconds: float = 600):
    """The first true answer of a condition that may also fail for a while: machines that test are busy ones."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except Exception as error:
            last = error
        time.sleep(0.3)
    raise TimeoutError(f"nothing within {seconds} s") from last


@pytest.mark.parametrize("path", BLANKS, ids=lambda path: path.stem)
def test_opens_and_runs_up_to_the_first_blank(lab, browser, path):
    """Run all: the given cells run; the first graded cell says that nothing is written yet, and there it stops."""
    browser.get(f"{lab}/lab/tree/{path.name}?reset")
    panel = "window.jupyterapp.shell.currentWidget"
    _wait(lambda: browser.execute_script(f"return {panel}.content.widgets.length > 3"))
    _wait(lambda: browser.execute_script(f"return {panel}.sessionContext.session.kernel.status") == "idle")
    browser.execute_script("window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def stopped() -> dict | None:
        cells = browser.execute_script(f"return {panel}.content.model.toJSON()")["cells"]
        return next((c for c in cells if any(o["output_type"] == "error" for o in c.get("outputs", []))), None)

    first = next(nb.cells(nb.load(path), "test"))
    cell = _wait(stopped)
    assert nb.identity(cell) == nb.identity(first)
    text = "nothing is written here yet"
    outputs = ".jp-OutputArea-output"
    shown = _wait(lambda: [e for e in browser.find_elements("css selector", outputs) if text in e.text])
    assert "Traceback" not in shown[0].text and shown[0].is_displayed()
    if folder := os.environ.get("MINIDL_SCREENSHOTS"):
        browser.save_screenshot(os.path.join(folder, f"{path.stem}.png"))
    cells = browser.execute_script(f"return {panel}.content.model.toJSON()")["cells"]
    ran = [bool(c["execution_count"]) for c in cells if c["cell_type"] == "code"]
    assert ran == sorted(ran, reverse=True) and not all(ran)  # some from the top on, and then no more
