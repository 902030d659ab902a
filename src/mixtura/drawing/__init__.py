"""Figures: one look for every picture that Mixtura draws."""

from mixtura.drawing.densities import densities
from mixtura.drawing.figures import COLOURS, check_picture, heat_map, loss_curves, new_figure, save_figure
from mixtura.drawing.sheets import sheet

__all__ = [
    "COLOURS",
    "check_picture",
    "densities",
    "heat_map",
    "loss_curves",
    "new_figure",
    "save_figure",
    "sheet",
]
