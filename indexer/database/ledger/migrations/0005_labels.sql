-- What people said of images, as far as the documents tell it; labels.sqlite has all of it.
CREATE TABLE labels (
    number INTEGER PRIMARY KEY,
    image_id TEXT NOT NULL,
    event TEXT NOT NULL
);
CREATE INDEX labels_by_image ON labels (image_id);

-- Images that were pruned: what people said of them goes with the next compaction.
CREATE TABLE pruned_labels (
    image_id TEXT PRIMARY KEY
) WITHOUT ROWID;
