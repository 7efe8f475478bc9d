"""Events of the demonstration's shop, with only the telling fields written out."""
