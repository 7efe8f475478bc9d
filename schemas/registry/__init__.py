"""Client of the schema registry: schemas by id, joined with the schemas that they refer to."""
