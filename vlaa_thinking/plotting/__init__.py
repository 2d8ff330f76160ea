"""The plots of a dataset: what its manifest says, as values, and drawn as PNG for the card."""
