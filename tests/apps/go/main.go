// The AWS SDK for Go 2 does a day's work; tests/apps/test_sdks.py starts it and looks at what it leaves.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var (
	ctx    = context.Background()
	bucket = aws.String(os.Getenv("DAY_BUCKET"))
	keyID  = aws.String(os.Getenv("DAY_KEY_ID"))
)

func main() {
	// The endpoint, the CA, the region and the keys come from the environment.
	settings := must(config.LoadDefaultConfig(ctx))
	client := s3.NewFromConfig(settings, func(options *s3.Options) { options.UsePathStyle = true })
	body, large := random(100_000), random(12<<20)
	checksums(client, body)
	uploads(client, large)
	customerKey(client, body)
	conditions(client)
	listings(client)
	links(client)
}

// Each algorithm of the SDK, sent with the upload and compared at the download.
func checksums(client *s3.Client, body []byte) {
	for _, algorithm := range []types.ChecksumAlgorithm{"", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} {
		key := aws.String("checksums/" + string(algorithm))
		must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm, Metadata: map[string]string{"colour": "blue"}}))
		got := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled}))
		same(body, must(io.ReadAll(got.Body)))
		expect(got.Metadata["colour"] == "blue")
		part := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=1000-1999")}))
		same(body[1000:2000], must(io.ReadAll(part.Body)))
	}
}

// In parts, of a stream whose length nobody knows, under SSE-KMS; then copied and downloaded in parts.
func uploads(client *s3.Client, body []byte) {
	uploader := manager.NewUploader(client)
	must(uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("large"), Body: io.MultiReader(bytes.NewReader(body)), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: keyID}))
	copied := must(client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/large"), ServerSideEncryption: types.ServerSideEncryptionAwsKms, SSEKMSKeyId: keyID}))
	expect(*copied.SSEKMSKeyId == *keyID)
	buffer := manager.NewWriteAtBuffer(nil)
	must(manager.NewDownloader(client).Download(ctx, buffer, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("copy")}))
	same(body, buffer.Bytes())
}

func customerKey(client *s3.Client, body []byte) {
	key := random(32)
	sum := md5.Sum(key)
	algorithm, key64, md5of := aws.String("AES256"), aws.String(base64.StdEncoding.EncodeToString(key)), aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("own"), Body: bytes.NewReader(body), SSECustomerAlgorithm: algorithm, SSECustomerKey: key64, SSECustomerKeyMD5: md5of}))
	got := must(client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("own"), SSECustomerAlgorithm: algorithm, SSECustomerKey: key64, SSECustomerKeyMD5: md5of}))
	same(body, must(io.ReadAll(got.Body)))
	_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("own")})
	fails(err, "InvalidRequest")
}

func conditions(client *s3.Client) {
	put := &s3.PutObjectInput{Bucket: bucket, Key: aws.String("once"), Body: bytes.NewReader([]byte("first")), IfNoneMatch: aws.String("*")}
	first := must(client.PutObject(ctx, put))
	put.Body = bytes.NewReader([]byte("second"))
	_, err := client.PutObject(ctx, put)
	fails(err, "PreconditionFailed")
	put.Body, put.IfNoneMatch, put.IfMatch = bytes.NewReader([]byte("second")), nil, first.ETag
	must(client.PutObject(ctx, put))
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("nothing")})
	fails(err, "NoSuchKey")
}

// Pages, and removal of a thousand at once.
func listings(client *s3.Client) {
	var objects []types.ObjectIdentifier
	for number := range 120 {
		key := aws.String(fmt.Sprintf("many/%03d ä&+", number))
		must(client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(nil)}))
		objects = append(objects, types.ObjectIdentifier{Key: key})
	}
	found := 0
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("many/"), MaxKeys: aws.Int32(50)})
	for pages.HasMorePages() {
		for _, object := range must(pages.NextPage(ctx)).Contents {
			expect(*object.Key == *objects[found].Key)
			found++
		}
	}
	expect(found == len(objects))
	deleted := must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}}))
	expect(len(deleted.Deleted) == len(objects) && len(deleted.Errors) == 0)
}

// Printed, for others to use.
func links(client *s3.Client) {
	presign := s3.NewPresignClient(client)
	get := must(presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("once")}, s3.WithPresignExpires(time.Hour)))
	put := must(presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("by link")}, s3.WithPresignExpires(time.Hour)))
	json.NewEncoder(os.Stdout).Encode(map[string]string{"get": get.URL, "put": put.URL})
}

func random(length int) []byte {
	bytes := make([]byte, length)
	must(rand.Read(bytes))
	return bytes
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func expect(holds bool) {
	if !holds {
		panic("not as expected")
	}
}

func same(expected, found []byte) {
	expect(bytes.Equal(expected, found))
}

func fails(err error, code string) {
	var failure smithy.APIError
	if !errors.As(err, &failure) || failure.ErrorCode() != code {
		panic(fmt.Sprintf("expected %s, found %v", code, err))
	}
}
