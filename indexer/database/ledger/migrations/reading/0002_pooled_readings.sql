CREATE TEMP VIEW images AS SELECT *, NULL AS pooled FROM main.images;
