"""Emissions of the lab, and the carbon intensity of its grids by hour."""
