"""One file for each arrow of the way of the data: the ingredients, then how to build."""
