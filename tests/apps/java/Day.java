import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.sync.ResponseTransformer;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.ServerSideEncryption;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/** The AWS SDK for Java 2 does a day's work; tests/apps/test_sdks.py starts it and looks at what it leaves. */
public class Day {
    static final String BUCKET = System.getenv("DAY_BUCKET");
    static final String KEY_ID = System.getenv("DAY_KEY_ID");
    static final int PART_BYTES = 5 << 20;
    // The endpoint, the region and the keys come from the environment, the CA from the trust store of the command line.
    static final S3Client CLIENT = S3Client.builder().forcePathStyle(true).httpClient(UrlConnectionHttpClient.create()).build();

    public static void main(String[] arguments) throws Exception {
        byte[] body = bytes(100_000);
        checksums(body);
        uploads(bytes(12 << 20));
        customerKey(body);
        conditions();
        listings();
        links();
    }

    static PutObjectResponse put(String key, byte[] body, Consumer<PutObjectRequest.Builder> more) {
        return CLIENT.putObject(PutObjectRequest.builder().bucket(BUCKET).key(key).applyMutation(more).build(), RequestBody.fromBytes(body));
    }

    static byte[] get(String key, Consumer<GetObjectRequest.Builder> more) {
        GetObjectRequest request = GetObjectRequest.builder().bucket(BUCKET).key(key).applyMutation(more).build();
        return CLIENT.getObject(request, ResponseTransformer.toBytes()).asByteArray();
    }

    /** Each algorithm of the SDK, sent with the upload and compared at the download. */
    static void checksums(byte[] body) {
        for (String algorithm : List.of("", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")) {
            String key = "checksums/" + algorithm;
            put(key, body, request -> {
                request.metadata(Map.of("colour", "blue"));
                if (!algorithm.isEmpty()) request.checksumAlgorithm(ChecksumAlgorithm.fromValue(algorithm));
            });
            same(body, get(key, request -> request.checksumMode(ChecksumMode.ENABLED)));
            same(Arrays.copyOfRange(body, 1000, 2000), get(key, request -> request.range("bytes=1000-1999")));
        }
    }

    /** In parts of streams under SSE-KMS, then copied. */
    static void uploads(byte[] body) {
        String upload = CLIENT.createMultipartUpload(request -> request.bucket(BUCKET).key("large").checksumAlgorithm(ChecksumAlgorithm.CRC32)
            .serverSideEncryption(ServerSideEncryption.AWS_KMS).ssekmsKeyId(KEY_ID)).uploadId();
        List<CompletedPart> parts = new ArrayList<>();
        for (int at = 0; at < body.length; at += PART_BYTES) {
            int number = parts.size() + 1, length = Math.min(PART_BYTES, body.length - at);
            InputStream part = new ByteArrayInputStream(body, at, length);
            var stored = CLIENT.uploadPart(request -> request.bucket(BUCKET).key("large").uploadId(upload).partNumber(number)
                .checksumAlgorithm(ChecksumAlgorithm.CRC32), RequestBody.fromInputStream(part, length));
            parts.add(CompletedPart.builder().partNumber(number).eTag(stored.eTag()).checksumCRC32(stored.checksumCRC32()).build());
        }
        CLIENT.completeMultipartUpload(request -> request.bucket(BUCKET).key("large").uploadId(upload).multipartUpload(all -> all.parts(parts)));
        var copied = CLIENT.copyObject(request -> request.sourceBucket(BUCKET).sourceKey("large").destinationBucket(BUCKET).destinationKey("copy")
            .serverSideEncryption(ServerSideEncryption.AWS_KMS).ssekmsKeyId(KEY_ID));
        expect(copied.ssekmsKeyId().equals(KEY_ID));
        same(body, get("copy", request -> { }));
    }

    static void customerKey(byte[] body) throws Exception {
        byte[] secret = bytes(32);
        String key = Base64.getEncoder().encodeToString(secret);
        String md5 = Base64.getEncoder().encodeToString(MessageDigest.getInstance("MD5").digest(secret));
        put("own", body, request -> request.sseCustomerAlgorithm("AES256").sseCustomerKey(key).sseCustomerKeyMD5(md5));
        same(body, get("own", request -> request.sseCustomerAlgorithm("AES256").sseCustomerKey(key).sseCustomerKeyMD5(md5)));
        fails("InvalidRequest", () -> get("own", request -> { }));
    }

    static void conditions() {
        byte[] second = "second".getBytes(StandardCharsets.UTF_8);
        String first = put("once", "first".getBytes(StandardCharsets.UTF_8), request -> request.ifNoneMatch("*")).eTag();
        fails("PreconditionFailed", () -> put("once", second, request -> request.ifNoneMatch("*")));
        put("once", second, request -> request.ifMatch(first));
        fails("NoSuchKey", () -> get("nothing", request -> { }));
    }

    /** Pages, and removal of many at once. */
    static void listings() {
        List<String> many = new ArrayList<>();
        for (int number = 0; number < 120; number++) {
            many.add(String.format("many/%03d ä&+", number));
            put(many.get(number), new byte[0], request -> { });
        }
        List<String> found = new ArrayList<>();
        CLIENT.listObjectsV2Paginator(request -> request.bucket(BUCKET).prefix("many/").maxKeys(50)).contents().forEach(object -> found.add(object.key()));
        expect(found.equals(many));
        List<ObjectIdentifier> objects = many.stream().map(key -> ObjectIdentifier.builder().key(key).build()).toList();
        var deleted = CLIENT.deleteObjects(request -> request.bucket(BUCKET).delete(all -> all.objects(objects)));
        expect(deleted.deleted().size() == many.size() && deleted.errors().isEmpty());
    }

    /** Printed, for others to use. */
    static void links() {
        Duration hour = Duration.ofHours(1);
        S3Configuration path = S3Configuration.builder().pathStyleAccessEnabled(true).build();
        URI endpoint = URI.create(System.getenv("AWS_ENDPOINT_URL"));
        try (S3Presigner signer = S3Presigner.builder().serviceConfiguration(path).endpointOverride(endpoint).build()) {
            var get = signer.presignGetObject(link -> link.signatureDuration(hour).getObjectRequest(request -> request.bucket(BUCKET).key("once")));
            var put = signer.presignPutObject(link -> link.signatureDuration(hour).putObjectRequest(request -> request.bucket(BUCKET).key("by link")));
            System.out.printf("{\"get\": \"%s\", \"put\": \"%s\"}%n", get.url(), put.url());
        }
    }

    static byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        new Random().nextBytes(bytes);
        return bytes;
    }

    static void same(byte[] expected, byte[] found) {
        expect(Arrays.equals(expected, found));
    }

    static void expect(boolean holds) {
        if (!holds) throw new AssertionError();
    }

    static void fails(String code, Runnable request) {
        try {
            request.run();
        } catch (S3Exception error) {
            if (code.equals(error.awsErrorDetails().errorCode())) return;
            throw error;
        }
        throw new AssertionError("expected " + code);
    }
}
