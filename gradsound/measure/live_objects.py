"""The objects of a class that exist in this process."""

from __future__ import annotations

import gc
from typing import TypeVar

_Object = TypeVar("_Object")


def find_objects(kind: type[_Object]) -> list[_Object]:
    """Returns the complete objects of a class, or of its subclasses.

    It looks at the type of every object of the process, and calls no code of an object.
    """
    # isinstance() would ask an object, which may be a proxy, for its __class__.
    found = [one for one in gc.get_objects() if kind in type(one).__mro__]
    return [one for one in found if vars(one)]
