"""A small stand-in for matplotlib in the page: `matplotlib.pyplot` draws what the assignments draw, as SVG."""
