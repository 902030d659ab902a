"""Systems: each folder is one application, with its data, training and pictures, from top to bottom."""
