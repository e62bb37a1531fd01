-- Documents say from now on what a picture was not taken as its header has it: all are sent again.
INSERT OR REPLACE INTO meta VALUES ('rewrite', 1);
