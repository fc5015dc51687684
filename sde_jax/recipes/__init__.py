"""What experiments are: the kinds of model that are trained, sampled and measured."""
