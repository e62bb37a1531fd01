-- What the images of a study say together, where it has several and the database pools them.
ALTER TABLE images ADD COLUMN pooled TEXT;
