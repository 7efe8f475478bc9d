"""The schema registry: schemas by id, with those that they refer to."""
