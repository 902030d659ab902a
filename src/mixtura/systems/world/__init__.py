"""World models (Ha & Schmidhuber 2018): an agent that learns in its own dream."""
