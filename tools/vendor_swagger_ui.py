"""Fetch the parts of Swagger UI that the API reference serves: `python tools/vendor_swagger_ui.py`.

To take a newer release, change VERSION and INTEGRITY (`npm view swagger-ui-dist@VERSION dist.integrity`), run this, and
run the tests: one of them opens the page in a browser.
"""

import base64
import hashlib
import io
import sys
import tarfile
import urllib.request
from pathlib import Path

VERSION = "5.35.0"
INTEGRITY = "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="
URL = f"https://registry.npmjs.org/swagger-ui-dist/-/swagger-ui-dist-{VERSION}.tgz"
FILES = ("LICENSE", "NOTICE", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css")
TARGET = Path(__file__).resolve().parent.parent / "src/ostiary/reference/static/swagger-ui"
DOWNLOAD_TIMEOUT_SECONDS = 60


def main() -> int:
    """Write the files as they are in the release, without any change."""
    with urllib.request.urlopen(URL, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:
        release = answer.read()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(release).digest()).decode()
    if integrity != INTEGRITY:
        print(f"{URL} is not the release that was chosen: {integrity}")
        return 1
    TARGET.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(release)) as archive:
        for name in FILES:
            member = archive.extractfile(f"package/{name}")
            if member is None:
                print(f"{name} is no file in the release")
                return 1
            (TARGET / name).write_bytes(member.read())
    print(f"Swagger UI {VERSION} is in {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
