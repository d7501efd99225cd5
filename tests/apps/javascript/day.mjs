// The AWS SDK for JavaScript 3 does a day's work; tests/apps/test_sdks.py starts it and looks at what it leaves.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";

import { CopyObjectCommand, DeleteObjectsCommand, GetObjectCommand, PutObjectCommand, S3Client, paginateListObjectsV2 } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const { DAY_BUCKET: Bucket, DAY_KEY_ID: SSEKMSKeyId } = process.env;
// The endpoint, the region and the keys come from the environment, the CA from NODE_EXTRA_CA_CERTS.
const client = new S3Client({ forcePathStyle: true });
const put = input => client.send(new PutObjectCommand({ Bucket, ...input }));
const get = async input => Buffer.from(await (await client.send(new GetObjectCommand({ Bucket, ...input }))).Body.transformToByteArray());
const body = randomBytes(100_000);
const underKey = { ServerSideEncryption: "aws:kms", SSEKMSKeyId };

// Each algorithm of the SDK, sent with the upload and compared at the download.
for (const algorithm of ["", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
  const Key = `checksums/${algorithm}`;
  await put({ Key, Body: body, ChecksumAlgorithm: algorithm || undefined, Metadata: { colour: "blue" } });
  assert.deepEqual(await get({ Key, ChecksumMode: "ENABLED" }), body);
  assert.deepEqual(await get({ Key, Range: "bytes=1000-1999" }), body.subarray(1000, 2000));
}

// In parts, of a stream whose length nobody knows, under SSE-KMS; then copied.
const large = randomBytes(12 << 20);
const pieces = Array.from({ length: 12 }, (_, number) => large.subarray(number << 20, (number + 1) << 20));
await new Upload({ client, params: { Bucket, Key: "large", Body: Readable.from(pieces), ...underKey } }).done();
const copied = await client.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/large`, ...underKey }));
assert.equal(copied.SSEKMSKeyId, SSEKMSKeyId);
assert.deepEqual(await get({ Key: "copy" }), large);

// A key of its own.
const secret = randomBytes(32);
const own = {
  SSECustomerAlgorithm: "AES256",
  SSECustomerKey: secret.toString("base64"),
  SSECustomerKeyMD5: createHash("md5").update(secret).digest("base64"),
};
await put({ Key: "own", Body: body, ...own });
assert.deepEqual(await get({ Key: "own", ...own }), body);
await assert.rejects(get({ Key: "own" }), { name: "InvalidRequest" });

// Conditions.
const first = await put({ Key: "once", Body: "first", IfNoneMatch: "*" });
await assert.rejects(put({ Key: "once", Body: "second", IfNoneMatch: "*" }), { name: "PreconditionFailed" });
await put({ Key: "once", Body: "second", IfMatch: first.ETag });
await assert.rejects(get({ Key: "nothing" }), { name: "NoSuchKey" });

// Pages, and removal of many at once.
const many = Array.from({ length: 120 }, (_, number) => `many/${String(number).padStart(3, "0")} ä&+`);
for (const Key of many) await put({ Key, Body: "" });
const found = [];
for await (const page of paginateListObjectsV2({ client, pageSize: 50 }, { Bucket, Prefix: "many/" })) found.push(...page.Contents.map(({ Key }) => Key));
assert.deepEqual(found, many);
const deleted = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: many.map(Key => ({ Key })) } }));
assert.equal(deleted.Deleted.length, many.length);

// Printed, for others to use.
const link = command => getSignedUrl(client, command, { expiresIn: 3600 });
console.log(JSON.stringify({ get: await link(new GetObjectCommand({ Bucket, Key: "once" })), put: await link(new PutObjectCommand({ Bucket, Key: "by link" })) }));
