"""Download a public experiment into data/raw: `python src/fetch.py hillstrom`.

reads   the network
writes  data/raw/<file>, checked against its SHA-256
"""

from pathlib import Path
from typing import NamedTuple

from pipeline import stage
from promotions.base.errors import InputError

FOLDER = Path("data/raw")


class Download(NamedTuple):
    """A public file: its address, its checksum, its local name, and the parameter that names it."""

    url: str
    sha256: str
    file_name: str
    parameter: str


DOWNLOADS = {
    "hillstrom": Download(
        "http://www.minethatdata.com/Kevin_Hillstrom_MineThatData_E-MailAnalytics_DataMiningChallenge_2008.03.20.csv",
        "0e5893329d8b93cefecc571777672028290ab69865718020c78c7284f291aece",
        "hillstrom.csv",
        "data.hillstrom.path",
    )
}


def main(source: str) -> None:
    """Download the file, unless it is there and correct."""
    import pooch
    import requests

    if source not in DOWNLOADS:
        raise InputError(f"{source!r} cannot be downloaded; known: {', '.join(DOWNLOADS)}")
    download = DOWNLOADS[source]
    target = FOLDER / download.file_name
    by_hand = (
        f"put the file at {target} yourself, or point {download.parameter} at your copy "
        f"(SHA-256 {download.sha256[:12]}…); it is published at {download.url}"
    )
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(
            download.url,
            known_hash=f"sha256:{download.sha256}",
            fname=download.file_name,
            path=FOLDER,
            downloader=pooch.HTTPDownloader(progressbar=stage.at_terminal(), timeout=60),
        )
    except (requests.exceptions.RequestException, OSError) as problem:
        reason = type(problem).__name__
        raise InputError(f"{source} could not be downloaded ({reason}); {by_hand}") from None
    except ValueError:
        raise InputError(f"{source}: what arrived is not the expected file (its SHA-256 differs); {by_hand}") from None
    stage.say(f"{target} is there, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    stage.command(main, __doc__)
