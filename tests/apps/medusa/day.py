"""What Medusa does with its storage in a day: a node's files go up, are compared, indexed, come back, and go. tests/apps/test_medusa.py starts it."""

import json
import os
import sys
from pathlib import Path

from medusa.config import StorageConfig
from medusa.storage import Storage

NODE, BACKUP = "node1.example", "monday"


def storage():
    given = json.loads(os.environ["DAY_STORAGE"])
    return Storage(config=StorageConfig(**dict.fromkeys(StorageConfig._fields) | given))


def files(folder):
    """A table's files, the large one sent in parts, and one in a folder of an index."""
    made = {"nb-1-big-Data.db": 12 << 20, "nb-1-big-Index.db": 30_000, "nb-1-big-TOC.txt": 92, ".words_idx/nb-1-big-Data.db": 5000, "nb-2-big-Rows.db": 0}
    for name, length in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(length))
    return [folder / name for name in made]


def main(home):
    sources = files(home / "work/shop/orders")
    with storage() as opened:
        driver = opened.storage_driver
        backup = opened.get_node_backup(fqdn=NODE, name=BACKUP)
        assert not backup.exists()
        backup.schema = "CREATE KEYSPACE shop"
        uploaded = driver.upload_blobs(sources, f"{backup.data_path}/shop/orders")
        sections = [{"keyspace": "shop", "columnfamily": "orders", "objects": [{"path": one.path, "MD5": one.MD5, "size": one.size} for one in uploaded]}]
        backup.manifest = json.dumps(sections)
        backup.tokenmap = json.dumps({NODE: {"tokens": [1], "is_up": True, "rack": "r1", "dc": "d1"}})
        opened.storage_driver.upload_blob_from_string(f"{opened.prefix_path}index/backup_index/{BACKUP}/tokenmap_{NODE}.json", backup.tokenmap)

    with storage() as opened:
        driver = opened.storage_driver
        backup = opened.get_node_backup(fqdn=NODE, name=BACKUP)
        assert backup.exists() and backup.schema == "CREATE KEYSPACE shop"
        objects = json.loads(backup.manifest)[0]["objects"]
        listed = {str(blob.name): blob.size for blob in driver.list_objects(str(backup.data_path))}
        assert listed == {found["path"]: found["size"] for found in objects} and len(listed) == len(sources), (listed, objects)
        for found in objects:
            blob = driver.get_blob(found["path"])
            assert (blob.size, blob.hash) == (found["size"], found["MD5"])
        driver.download_blobs([found["path"] for found in objects], str(home / "back"))
        for source in sources:
            assert (home / "back" / source.relative_to(home / "work/shop/orders")).read_bytes() == source.read_bytes(), source
        assert driver.get_blob("nothing") is None
        driver.delete_objects([driver.get_blob(found["path"]) for found in objects[:2]])
        assert len(driver.list_objects(str(backup.data_path))) == len(sources) - 2


main(Path(sys.argv[1]))
