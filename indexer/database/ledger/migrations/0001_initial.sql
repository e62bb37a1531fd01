CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- `shard`: the number of the next shard, never given twice.
-- `changes`: grows whenever the set of images changes; an index built at the same number is current.
INSERT INTO meta VALUES ('shard', 1), ('changes', 0);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    finished TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'interrupted', 'stopped')),
    version TEXT NOT NULL,
    bundle TEXT NOT NULL,
    counts TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE archives (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE
);

-- One row per file that was ever read and not pruned.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    archive INTEGER NOT NULL REFERENCES archives (id),
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    checksum TEXT,
    status TEXT NOT NULL CHECK (status IN ('done', 'duplicate', 'skipped', 'failed')),
    reason TEXT,
    detail TEXT,
    attempts INTEGER NOT NULL DEFAULT 1,
    image_id TEXT,
    identity TEXT, -- of a duplicate: the header it would give the image if it had to stand for it
    run INTEGER NOT NULL REFERENCES runs (id),
    UNIQUE (archive, name),
    CHECK ((status IN ('done', 'duplicate')) = (image_id IS NOT NULL)),
    CHECK ((status IN ('skipped', 'failed')) = (reason IS NOT NULL))
);
CREATE INDEX files_by_status ON files (status, reason);
CREATE INDEX files_by_image ON files (image_id, status) WHERE image_id IS NOT NULL;

-- Embedding shards; `live` is kept by the triggers below.
CREATE TABLE shards (
    number INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    live INTEGER NOT NULL DEFAULT 0,
    checksum TEXT NOT NULL
);

-- One row per image content; it lives as long as a file refers to it.
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    image_id TEXT NOT NULL UNIQUE,
    study TEXT NOT NULL,
    patient TEXT NOT NULL,
    metadata TEXT NOT NULL,
    reading TEXT NOT NULL,
    report TEXT,
    report_keys TEXT NOT NULL,
    document_hash TEXT NOT NULL,
    thumbnail INTEGER NOT NULL,
    shard INTEGER NOT NULL REFERENCES shards (number),
    row INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES runs (id),
    UNIQUE (shard, row)
);
CREATE INDEX images_by_study ON images (study);
CREATE INDEX images_by_patient ON images (patient);

CREATE TRIGGER images_inserted AFTER INSERT ON images BEGIN
    UPDATE shards SET live = live + 1 WHERE number = new.shard;
    UPDATE meta SET value = value + 1 WHERE key = 'changes';
END;
CREATE TRIGGER images_deleted AFTER DELETE ON images BEGIN
    UPDATE shards SET live = live - 1 WHERE number = old.shard;
    UPDATE meta SET value = value + 1 WHERE key = 'changes';
END;
CREATE TRIGGER images_moved AFTER UPDATE OF shard ON images BEGIN
    UPDATE shards SET live = live - 1 WHERE number = old.shard;
    UPDATE shards SET live = live + 1 WHERE number = new.shard;
END;

-- Images that lost a file; settled at the end of a run.
CREATE TABLE released (
    image_id TEXT PRIMARY KEY
) WITHOUT ROWID;

-- What the text store (and the thumbnails) have not confirmed yet.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    image_id TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('upsert', 'delete', 'hide')),
    document TEXT CHECK ((op = 'upsert') = (document IS NOT NULL))
);

-- State of a report folder when its reports were last compared with all images.
CREATE TABLE report_folders (
    path TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL
) WITHOUT ROWID;
