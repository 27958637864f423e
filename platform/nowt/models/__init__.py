"""Models: ResNets and dense networks, their initialization, and grouped batch norm."""
