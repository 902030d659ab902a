"""Figures: one look for every picture that Mixtura draws."""

from mixtura.drawing.animation import animate
from mixtura.drawing.attention import attention_plot, density_plot
from mixtura.drawing.densities import densities
from mixtura.drawing.figures import COLOURS, check_picture, heat_map, loss_curves, new_figure, save_figure
from mixtura.drawing.pages import Paper, pages, write_pages
from mixtura.drawing.sheets import sheet

__all__ = [
    "COLOURS",
    "Paper",
    "animate",
    "attention_plot",
    "check_picture",
    "densities",
    "density_plot",
    "heat_map",
    "loss_curves",
    "new_figure",
    "pages",
    "save_figure",
    "sheet",
    "write_pages",
]
