"""The recurrent network that ends in a softmax, on texts and melodies."""

from mixtura.systems.characters.system import Characters

__all__ = ["Characters"]
