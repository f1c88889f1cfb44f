"""Numbers as colours, and colours as a PNG picture that an SVG can hold."""

import base64
import struct
import zlib

import numpy as np

MAPS = {
    "gray": ("000000", "ffffff"),
    "gray_r": ("ffffff", "000000"),
    "Greys": ("ffffff", "f0f0f0", "d9d9d9", "bdbdbd", "969696", "737373", "525252", "252525", "000000"),
    "RdBu": tuple("67001f b2182b d6604d f4a582 fddbc7 f7f7f7 d1e5f0 92c5de 4393c3 2166ac 053061".split()),
    "magma": ("000004", "1c1044", "4f127b", "812581", "b5367a", "e55964", "fb8761", "fec287", "fcfdbf"),
    "viridis": ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"),
}


def colours(values: np.ndarray, low: float, high: float, cmap: str) -> np.ndarray:
    """Values of shape (n, m) as colours (n, m, 3), bytes, from `low` to `high` along a colour map."""
    if cmap not in MAPS:
        raise ValueError(f"the page's colour maps are {', '.join(MAPS)}, not {cmap!r}")
    stops = np.array([[int(stop[i : i + 2], 16) for i in (0, 2, 4)] for stop in MAPS[cmap]], dtype=float)
    span = high - low if high > low else 1.0
    places = np.clip((np.asarray(values, dtype=float) - low) / span, 0, 1) * (len(stops) - 1)
    places = np.nan_to_num(places)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, i]) for i in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def png(pixels: np.ndarray) -> str:
    """Colours (n, m, 3) as the address of a PNG picture."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()
