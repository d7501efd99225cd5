//! Valid requests, and what an attacker, a proxy or another client's taste makes of them.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::pedantic)]

use time::{Duration, OffsetDateTime};

use super::common::{Request, Signer, encode, sha256_hex, target, timestamp};

pub struct Case {
    pub name: String,
    pub request: Request,
}

pub struct Generator {
    state: u64,
    now: OffsetDateTime,
    cases: Vec<Case>,
}

/// One row of the vectors. Runs of a byte are written as its count.
pub fn line(name: &str, now: OffsetDateTime, request: &Request, verdict: &str) -> String {
    let text = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let mut body: Vec<serde_json::Value> = Vec::new();
    let mut at = 0;
    let mut start = 0;
    while at < request.body.len() {
        let run = request.body[at..].iter().take_while(|byte| **byte == request.body[at]).count();
        if run > 64 {
            if start < at {
                body.push(serde_json::json!(text(&request.body[start..at])));
            }
            body.push(serde_json::json!([text(&request.body[at..=at]), run]));
            start = at + run;
        }
        at += run;
    }
    if start < request.body.len() {
        body.push(serde_json::json!(text(&request.body[start..])));
    }
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| serde_json::json!([name, text(value)])).collect();
    let row = serde_json::json!({"name": name, "now": timestamp(now), "method": request.method, "target": request.target,
        "headers": headers, "body": body, "s3s": verdict});
    format!("{row}\n")
}

impl Generator {
    pub fn new(seed: u64, now: OffsetDateTime) -> Self {
        Self { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x1234_5678, now, cases: Vec::new() }
    }

    fn next(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.state;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((value ^ (value >> 31)) % below as u64) as usize
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.next(items.len())]
    }

    fn push(&mut self, name: impl Into<String>, request: Request) {
        self.cases.push(Case { name: name.into(), request });
    }

    fn signer(&self) -> Signer {
        Signer::s3(self.now)
    }

    fn path(&mut self) -> String {
        let pieces =
            ["a", "Z9", "-_.~", " ", "+", "ü", "€", "//", "..", "/./", "=", "&", "?", "#", "%", "%2F", "!*'()", "@:,;$", "\"<>", "x/y"];
        let mut path = "/bucket/".to_owned();
        for _ in 0..=self.next(4) {
            path += self.pick(&pieces);
        }
        path
    }

    fn pairs(&mut self) -> Vec<(&'static str, &'static str)> {
        let all = [
            ("acl", ""),
            ("prefix", "a b+c/d"),
            ("marker", "ü&="),
            ("max-keys", "5"),
            ("list-type", "2"),
            ("delimiter", "/"),
            ("A", "1"),
            ("a", "~-_."),
            ("versionId", "null"),
        ];
        let mut pairs: Vec<_> = all.into_iter().filter(|_| self.next(4) == 0).collect();
        if !pairs.is_empty() {
            let at = self.next(pairs.len());
            pairs.rotate_left(at);
        }
        pairs
    }

    fn unsigned(&mut self, method: &str) -> Request {
        let (path, pairs) = (self.path(), self.pairs());
        let request = Request::new(method, &target(&path, &pairs)).header("host", "localhost:9000");
        let request = if self.next(2) == 0 { request.header("x-amz-meta-a", "one  two") } else { request };
        if self.next(3) == 0 { request.header("content-type", "text/plain; charset=utf-8") } else { request }
    }

    fn get(&mut self) -> Request {
        let mut request = self.unsigned("GET");
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        request
    }

    fn put(&mut self) -> Request {
        let body = "body of 16 bytes";
        let mut request = self.unsigned("PUT").body(body);
        request.set("content-length", "16");
        self.signer().sign_header(&mut request, &sha256_hex(body.as_bytes()), &[]);
        request
    }

    fn presigned(&mut self) -> Request {
        let mut request = self.unsigned("GET");
        self.signer().sign_query(&mut request, 300, "UNSIGNED-PAYLOAD", &[]);
        request
    }

    pub fn cases(&mut self) -> Vec<Case> {
        for (name, request) in [("get", self.get()), ("put", self.put()), ("presigned", self.presigned())] {
            self.push(format!("{name}: as signed"), request.clone());
            self.mutate_target(name, &request);
            self.mutate_headers(name, &request);
        }
        self.header_rows();
        self.authorization_rows();
        self.presigned_rows();
        self.chunk_rows();
        std::mem::take(&mut self.cases)
    }

    fn mutate_target(&mut self, kind: &str, request: &Request) {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let rejoin = |path: &str, query: &str| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut with = |name: &str, target: String| {
            let mut altered = request.clone();
            altered.target = target;
            self.cases.push(Case { name: format!("{kind}: {name}"), request: altered });
        };
        with("path with lower-case escapes", rejoin(&lower_escapes(path), query));
        with("path with needless escapes", rejoin(&path.replace("bucket", "%62ucket"), query));
        with(
            "path with raw reserved characters",
            rejoin(&path.replace("%2B", "+").replace("%3D", "=").replace("%21", "!").replace("%40", "@"), query),
        );
        with("path of another object", rejoin(&format!("{path}x"), query));
        with("path with a dot segment", rejoin(&path.replace("/bucket/", "/bucket/./"), query));
        with("path with a doubled slash", rejoin(&path.replace("/bucket/", "/bucket//"), query));
        with("path with a broken escape", rejoin(&format!("{path}%zz"), query));
        with("query with lower-case escapes", rejoin(path, &lower_escapes(query)));
        with("query with plus for space", rejoin(path, &query.replace("%20", "+")));
        with("query with empty pieces", rejoin(path, &format!("&{query}&&")));
        with("query without equals signs", rejoin(path, &query.replace("acl=", "acl")));
        with("query in another order", rejoin(path, &query.split('&').rev().collect::<Vec<_>>().join("&")));
        with("query with one more parameter", rejoin(path, &format!("{query}&zone=1").trim_start_matches('&').to_owned()));
        with("query with one less parameter", rejoin(path, query.split_once('&').map_or("", |(_, rest)| rest)));
        with("query with an altered value", rejoin(path, &query.replace("max-keys=5", "max-keys=6").replace("acl=", "acl=1")));
        with("query with a raw slash", rejoin(path, &query.replace("%2F", "/")));
        let mut altered = request.clone();
        altered.method = if request.method == "GET" { "DELETE" } else { "POST" }.to_owned();
        self.push(format!("{kind}: another method"), altered);
    }

    fn mutate_headers(&mut self, kind: &str, request: &Request) {
        let mut with = |name: &str, alter: &dyn Fn(&mut Request)| {
            let mut altered = request.clone();
            alter(&mut altered);
            self.cases.push(Case { name: format!("{kind}: {name}"), request: altered });
        };
        with("another host", &|request| request.set("host", "other:9000"));
        with("no host", &|request| request.headers.retain(|(name, _)| name != "host"));
        with("host twice", &|request| request.headers.push(("host".to_owned(), b"localhost:9000".to_vec())));
        with("an unsigned x-amz- header", &|request| request.set("x-amz-acl", "public-read"));
        with("an unsigned copy source", &|request| request.set("x-amz-copy-source", "/bucket/secret"));
        with("an unsigned session token", &|request| request.set("x-amz-security-token", "token"));
        with("an unsigned header of another kind", &|request| request.set("range", "bytes=0-1"));
        with("an unsigned x-amzn- header", &|request| request.set("x-amzn-trace-id", "Root=1"));
        with("metadata altered", &|request| {
            if request.get("x-amz-meta-a").is_some() {
                request.set("x-amz-meta-a", "three");
            }
        });
        with("metadata with other spaces", &|request| {
            if request.get("x-amz-meta-a").is_some() {
                request.set("x-amz-meta-a", "  one \t two ");
            }
        });
        with("metadata given once more", &|request| request.headers.push(("x-amz-meta-a".to_owned(), b"more".to_vec())));
        with("metadata missing", &|request| request.headers.retain(|(name, _)| name != "x-amz-meta-a"));
        with("body altered", &|request| request.body.iter_mut().take(1).for_each(|byte| *byte ^= 1));
        with("signature of version 2 too", &|request| {
            request.target += if request.target.contains('?') { "&" } else { "?" };
            request.target += "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=c2ln&Expires=4000000000";
        });
    }

    fn header_rows(&mut self) {
        let now = self.now;
        for (name, shift) in [("14 minutes ago", -14), ("16 minutes ago", -16), ("14 minutes ahead", 14), ("16 minutes ahead", 16)] {
            let mut request = self.unsigned("GET");
            Signer::s3(now + Duration::minutes(shift)).sign_header(&mut request, &sha256_hex(b""), &[]);
            self.push(format!("header: signed {name}"), request);
        }
        for (name, payload) in [
            ("unsigned payload", "UNSIGNED-PAYLOAD".to_owned()),
            ("hash in upper case", sha256_hex(b"").to_uppercase()),
            ("no hash", "0123".to_owned()),
            ("hash in base64", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned()),
            ("asymmetric chunks", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD".to_owned()),
            ("no x-amz-content-sha256", String::new()),
        ] {
            let mut request = self.unsigned("GET").header("content-length", "0");
            self.signer().sign_header(&mut request, &payload, &[]);
            self.push(format!("header: {name}"), request);
        }
        for except in ["x-amz-content-sha256", "x-amz-date", "host", "x-amz-meta-a", "content-type"] {
            let mut request =
                Request::new("GET", "/bucket/a").header("host", "localhost:9000").header("x-amz-meta-a", "1").header("content-type", "a/b");
            self.signer().sign_header(&mut request, &sha256_hex(b""), &[except]);
            self.push(format!("header: {except} not signed"), request);
        }
        for (name, value) in [
            ("x-amz-date", "20130524"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ] {
            let mut request = self.put();
            request.set(name, value);
            self.push(format!("header: {name} altered to {value}"), request);
            let mut request = self.put();
            request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
            self.push(format!("header: {name} given again as {value}"), request);
        }
        let mut request = self.put();
        request.headers.retain(|(name, _)| name != "x-amz-date");
        self.push("header: no x-amz-date", request);
        let mut request = self.unsigned("GET").header("x-amz-security-token", "token");
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        self.push("header: session token", request);
        let mut request = self.unsigned("GET").header("x-amz-meta-a", "two").header("x-amz-meta-a", "three");
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        self.push("header: a signed header given twice", request);
        let mut request = self.unsigned("GET").header("x-amz-meta-b", "ü".as_bytes()).header("x-amz-meta-c", b"\xfc");
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        self.push("header: bytes that are no text", request);
        let mut request = self.unsigned("GET").header("x-amz-meta-b", "ü".as_bytes());
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        self.push("header: bytes in UTF-8", request);
        let mut request = Request::new("GET", "/bucket/?a=2&a=1&a").header("host", "localhost:9000");
        self.signer().sign_header(&mut request, &sha256_hex(b""), &[]);
        self.push("header: a parameter given several times, sorted by value", request);
        let mut raw = Request::new("GET", "/bucket/a+b=c!@").header("host", "localhost:9000");
        self.signer().sign_header(&mut raw, &sha256_hex(b""), &[]);
        self.push("header: path signed as it came", raw);
    }

    fn authorization_rows(&mut self) {
        let mut rows: Vec<(&str, Box<dyn Fn(&str) -> String>)> = vec![
            ("empty", Box::new(|_| String::new())),
            ("of version 2", Box::new(|_| "AWS AKIAIOSFODNN7EXAMPLE:c2lnbmF0dXJl".to_owned())),
            ("of version 2 without a signature", Box::new(|_| "AWS HAHAHA".to_owned())),
            ("basic", Box::new(|_| "Basic YTpi".to_owned())),
            ("asymmetric", Box::new(|value| value.replace("HMAC-SHA256", "ECDSA-P256-SHA256"))),
            ("of another algorithm", Box::new(|value| value.replace("SHA256 ", "SHA512 "))),
            ("in lower case", Box::new(|value| value.replace("AWS4-HMAC", "aws4-hmac"))),
            ("without spaces", Box::new(|value| value.replace(", ", ","))),
            ("with more spaces", Box::new(|value| value.replace(", ", ",   ").replace("256 C", "256   C"))),
            ("with a trailing space", Box::new(|value| format!("{value} "))),
            (
                "with an upper-case signature",
                Box::new(|value| {
                    let (head, signature) = value.rsplit_once('=').unwrap();
                    format!("{head}={}", signature.to_uppercase())
                }),
            ),
            ("with a short signature", Box::new(|value| value[..value.len() - 1].to_owned())),
            ("with a long signature", Box::new(|value| format!("{value}0"))),
            (
                "with another signature",
                Box::new(|value| {
                    let mut bytes = value.as_bytes().to_vec();
                    let last = bytes.len() - 1;
                    bytes[last] = if bytes[last] == b'0' { b'1' } else { b'0' };
                    String::from_utf8(bytes).unwrap()
                }),
            ),
            ("without a signature", Box::new(|value| value.split_once(", Signature").unwrap().0.to_owned())),
            ("without signed headers", Box::new(|value| value.replace("SignedHeaders", "Headers"))),
            (
                "with no signed header",
                Box::new(|value| {
                    let (head, rest) = value.split_once("SignedHeaders=").unwrap();
                    format!("{head}SignedHeaders={}", &rest[rest.find(',').unwrap()..])
                }),
            ),
            (
                "with fields in another order",
                Box::new(|value| {
                    let mut fields: Vec<&str> = value.split_once(' ').unwrap().1.split(", ").collect();
                    fields.reverse();
                    format!("AWS4-HMAC-SHA256 {}", fields.join(", "))
                }),
            ),
            ("with signed headers in another order", Box::new(|value| value.replace("host;", "").replace("x-amz-date", "x-amz-date;host"))),
            ("with an upper-case signed header", Box::new(|value| value.replace("host;", "Host;"))),
            ("with a signed header named twice", Box::new(|value| value.replace("host;", "host;host;"))),
            ("with a signed header that did not come", Box::new(|value| value.replace("host;", "host;if-match;"))),
            ("with an extra field", Box::new(|value| format!("{value}, Extra=1"))),
            ("with the wrong terminator", Box::new(|value| value.replace("aws4_request", "aws5_request"))),
            ("with the service iam", Box::new(|value| value.replace("/s3/", "/iam/"))),
            ("with another region", Box::new(|value| value.replace("us-east-1", "eu-west-1"))),
            (
                "with another date",
                Box::new(|value| {
                    let at = value.find('/').unwrap();
                    format!("{}/20130524{}", &value[..at], &value[at + 9..])
                }),
            ),
            (
                "with a date that is none",
                Box::new(|value| {
                    let at = value.find('/').unwrap();
                    format!("{}/2013-524{}", &value[..at], &value[at + 9..])
                }),
            ),
            ("of somebody else", Box::new(|value| value.replace("AKIAIOSFODNN7EXAMPLE", "AKIANOBODY"))),
            ("of nobody", Box::new(|value| value.replace("AKIAIOSFODNN7EXAMPLE", ""))),
        ];
        for (name, alter) in rows.drain(..) {
            let mut request = self.get();
            let altered = alter(request.get("authorization").unwrap());
            request.set("authorization", altered);
            self.push(format!("authorization: {name}"), request);
        }
        let mut request = self.get();
        let value = request.get("authorization").unwrap().to_owned();
        request.headers.push(("authorization".to_owned(), value.into_bytes()));
        self.push("authorization: given twice", request);
        let mut request = self.get();
        request.headers.retain(|(name, _)| name != "authorization");
        self.push("authorization: missing", request);
        for (name, region, service) in [
            ("an empty region", "", "s3"),
            ("a region that is none", "US", "s3"),
            ("the service sts", "us-east-1", "sts"),
            ("no service", "us-east-1", ""),
        ] {
            let mut request = self.unsigned("GET");
            let signer = Signer { region: region.to_owned(), service: service.to_owned(), ..self.signer() };
            signer.sign_header(&mut request, &sha256_hex(b""), &[]);
            self.push(format!("authorization: signed for {name}"), request);
        }
        let mut request = self.presigned();
        let header = self.get().get("authorization").unwrap().to_owned();
        request.set("authorization", header);
        self.push("authorization: beside a presigned URL", request);
        let mut request = self.presigned();
        request.set("authorization", "Bearer x");
        self.push("authorization: another scheme beside a presigned URL", request);
    }

    fn presigned_rows(&mut self) {
        let now = self.now;
        for (name, shift, expires) in [
            ("in time", -250, 300),
            ("expired", -310, 300),
            ("for no time", -2, 0),
            ("for a week", -3600, 604_800),
            ("for longer than a week", 0, 604_801),
            ("14 minutes ahead", 840, 300),
            ("16 minutes ahead", 960, 300),
        ] {
            let mut request = self.unsigned("GET");
            Signer::s3(now + Duration::seconds(shift)).sign_query(&mut request, expires, "UNSIGNED-PAYLOAD", &[]);
            self.push(format!("presigned: {name}"), request);
        }
        for (name, from, to) in [
            ("longer life", "Expires=300", "Expires=900"),
            ("negative life", "Expires=300", "Expires=-300"),
            ("life that is no number", "Expires=300", "Expires=abc"),
            ("life with a sign", "Expires=300", "Expires=%2B300"),
            ("another algorithm", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
            ("asymmetric algorithm", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            ("no algorithm", "X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""),
            ("another access key", "AKIAIOSFODNN7EXAMPLE", "AKIANOBODY"),
            ("another region", "us-east-1", "us-east-2"),
            ("another service", "%2Fs3%2F", "%2Fsts%2F"),
            ("fewer signed headers", "SignedHeaders=", "SignedHeaders=x-amz-none%3B"),
            ("upper-case signed header", "host", "Host"),
            ("no life", "&X-Amz-Expires=300", ""),
            ("parameter names in lower case", "X-Amz-Signature", "x-amz-signature"),
            ("escaped parameter name", "X-Amz-Signature", "%58-Amz-Signature"),
            ("no signature", "X-Amz-Signature", "X-Nothing"),
            ("life twice", "&X-Amz-Expires=300", "&X-Amz-Expires=300&X-Amz-Expires=900"),
            ("signature twice", "&X-Amz-Signature=", "&X-Amz-Signature=0&X-Amz-Signature="),
            ("date altered", "X-Amz-Date=2", "X-Amz-Date=1"),
            ("broken credential", "%2Faws4_request", ""),
        ] {
            let mut request = self.presigned();
            request.target = request.target.replacen(from, to, 1);
            self.push(format!("presigned: {name}"), request);
        }
        for (name, value, payload) in [
            ("hash of the body signed", sha256_hex(b"body"), "UNSIGNED-PAYLOAD".to_owned()),
            ("hash of the body signed as the payload", sha256_hex(b"body"), sha256_hex(b"body")),
            ("hash of another body", sha256_hex(b"other"), "UNSIGNED-PAYLOAD".to_owned()),
            ("payload declared unsigned", "UNSIGNED-PAYLOAD".to_owned(), "UNSIGNED-PAYLOAD".to_owned()),
            ("payload in chunks", "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(), "UNSIGNED-PAYLOAD".to_owned()),
            ("payload that is none", "zz".to_owned(), "UNSIGNED-PAYLOAD".to_owned()),
        ] {
            for except in ["", "x-amz-content-sha256"] {
                let mut request = Request::new("PUT", "/bucket/a").header("host", "h").header("content-length", "4").body("body");
                request.set("x-amz-content-sha256", &value);
                self.signer().sign_query(&mut request, 300, &payload, &[except]);
                let listed = if except.is_empty() { "listed" } else { "not listed" };
                self.push(format!("presigned: {name}, {listed}"), request);
            }
        }
        for payload in ["UNSIGNED-PAYLOAD", &sha256_hex(b"body"), &sha256_hex(b"other")] {
            let mut request = Request::new("PUT", &format!("/bucket/a?X-Amz-Content-Sha256={payload}"));
            request = request.header("host", "h").header("content-length", "4").body("body");
            self.signer().sign_query(&mut request, 300, payload, &[]);
            self.push(format!("presigned: X-Amz-Content-Sha256 in the query, {}", &payload[..4]), request);
        }
        let mut request = Request::new("GET", "/bucket/a?X-Amz-Security-Token=token").header("host", "h");
        self.signer().sign_query(&mut request, 300, "UNSIGNED-PAYLOAD", &[]);
        self.push("presigned: session token", request);
        let mut request = Request::new("GET", "/bucket/a").header("host", "h");
        self.signer().sign_query(&mut request, 300, "UNSIGNED-PAYLOAD", &["host"]);
        self.push("presigned: host not signed", request);
        let mut request =
            Request::new("GET", "/bucket/a?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=c2ln&Expires=4000000000").header("host", "h");
        self.push("presigned: version 2", request.clone());
        request.target = "/bucket/a?Signature=c2ln".to_owned();
        self.push("presigned: only a parameter named Signature", request);
    }

    fn chunk_rows(&mut self) {
        const TRAILER: [(&str, &str); 1] = [("x-amz-checksum-crc32c", "sOO8/Q==")];
        let long = "a".repeat(20_000);
        for (kind, signed, trailers) in [
            ("signed chunks", true, &[][..]),
            ("signed chunks and trailer", true, &TRAILER[..]),
            ("unsigned chunks and trailer", false, &TRAILER[..]),
        ] {
            let make = |this: &Self, data: &str, chunks: &[usize]| {
                let mut request = Request::new("PUT", "/bucket/a").header("host", "h").header("content-encoding", "aws-chunked");
                this.signer().sign_chunks(&mut request, data.as_bytes(), chunks, signed, trailers);
                request
            };
            for (name, data, chunks) in [
                ("one chunk", "hello chunked world", &[65536][..]),
                ("nothing", "", &[65536]),
                ("three chunks", &long, &[8192]),
                ("small chunks", "hello chunked world", &[7]),
                ("a small chunk, then a large one", &long, &[100, 9000]),
            ] {
                let request = make(self, data, chunks);
                self.push(format!("{kind}: {name}"), request);
            }
            let request = make(self, &long, &[8192]);
            let text = String::from_utf8(request.body.clone()).unwrap();
            let last = text.rfind("\r\n0").unwrap() + 2;
            let mut with = |name: &str, body: String| {
                let mut altered = request.clone();
                altered.set("content-length", body.len().to_string());
                altered.body = body.into_bytes();
                self.cases.push(Case { name: format!("{kind}: {name}"), request: altered });
            };
            with("a byte altered", text.replacen("aa", "ab", 1));
            with("a byte altered in the last chunk", {
                let at = text.rfind("aaa").unwrap();
                format!("{}b{}", &text[..at], &text[at + 1..])
            });
            with("a size altered", text.replacen("2000", "1fff", 1));
            with("a size in upper case", text.replacen("e20", "E20", 1));
            with("a size with zeros before it", format!("0000{text}"));
            with("a size with more zeros", format!("000000000000{text}"));
            with("a size of 17 digits", format!("0000000000000{text}"));
            with("a size with a sign", format!("+{text}"));
            with("a size with 0x", format!("0x{text}"));
            with("a size with a space", text.replacen("2000", "2000 ", 1));
            with("a huge size", text.replacen("2000", "ffffffffffffffff", 1));
            with("no size", text.replacen("2000", "", 1));
            with("a line feed for the end of a line", text.replacen("\r\n", "\n", 1));
            with("no line end after the data", text.replacen("a\r\n", "a", 1));
            with("an extension more", text.replacen("\r\n", ";x=y\r\n", 1));
            with("no last chunk", text[..last].to_owned());
            with("no last line end", text.trim_end_matches("\r\n").to_owned());
            with("only one last line end", format!("{}\r\n", text.trim_end_matches("\r\n")));
            with("one more last line end", format!("{text}\r\n"));
            with("bytes behind the end", format!("{text}more"));
            with("a chunk behind the end", format!("{text}{text}"));
            with("half of it", text[..text.len() / 2].to_owned());
            with("no framing", long.clone());
            with("an endless line", "0".repeat(70_000));
            with("nothing at all", String::new());
            if signed {
                let at = text.find("chunk-signature=").unwrap() + 16;
                let flipped = if &text[at..=at] == "0" { "1" } else { "0" };
                with("the first signature altered", format!("{}{flipped}{}", &text[..at], &text[at + 1..]));
                let at = text.rfind("chunk-signature=").unwrap() + 16;
                let flipped = if &text[at..=at] == "0" { "1" } else { "0" };
                with("the last signature altered", format!("{}{flipped}{}", &text[..at], &text[at + 1..]));
                with("a signature in upper case", format!("{}{}{}", &text[..at], text[at..at + 64].to_uppercase(), &text[at + 64..]));
                with("a chunk without its signature", {
                    let at = text.find(";chunk").unwrap();
                    format!("{}{}", &text[..at], &text[at + 81..])
                });
                let second = text[1..].find("2000;").unwrap() + 1;
                let third = text[second + 1..].find("e20;").unwrap() + second + 1;
                with("chunks exchanged", format!("{}{}{}", &text[second..third], &text[..second], &text[third..]));
                with("a chunk left out", text[second..].to_owned());
            } else {
                with("a signature nobody asked for", text.replacen("2000", &format!("2000;chunk-signature={}", "0".repeat(64)), 1));
            }
            if !trailers.is_empty() {
                with("a trailer altered", text.replace("sOO8", "sOO9"));
                with("no trailer", {
                    let at = text.find("x-amz-checksum").unwrap();
                    format!("{}\r\n", &text[..at])
                });
                with("a trailer nobody announced", text.replace("x-amz-checksum-crc32c", "x-amz-meta-a:b\r\nx-amz-checksum-crc32c"));
                with(
                    "a trailer twice",
                    text.replace(
                        "x-amz-checksum-crc32c:sOO8/Q==\r\n",
                        "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-checksum-crc32c:sOO9/Q==\r\n",
                    ),
                );
                with("a trailer with spaces", text.replace("crc32c:sOO8/Q==", "crc32c:  sOO8/Q== "));
                with("a trailer with an upper-case name", text.replace("x-amz-checksum-crc32c:", "X-Amz-Checksum-Crc32c:"));
                with("a trailer without a colon", text.replace("crc32c:", "crc32c"));
                with("line feeds in the trailer", text.replace("/Q==\r\n", "/Q==\n"));
                with("an empty line before the signature", text.replace("/Q==\r\n", "/Q==\n\r\n"));
                with("no signature of the trailer", text.split("x-amz-trailer-signature").next().unwrap().to_owned() + "\r\n");
                with("a long trailer", format!("{text}{}", "\r\n".repeat(10_000)));
            } else {
                with("a trailer", format!("{}x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n", &text[..text.len() - 2]));
            }
            for (name, value) in [("too large", "20001"), ("too small", "19999"), ("no number", "x"), ("signed", "+20000")] {
                let mut altered = Request::new("PUT", "/bucket/a").header("host", "h");
                let payload = request.get("x-amz-content-sha256").unwrap().to_owned();
                if let Some(announced) = request.get("x-amz-trailer") {
                    altered.set("x-amz-trailer", announced);
                }
                altered.set("x-amz-decoded-content-length", value);
                let seed = self.signer().sign_header(&mut altered, &payload, &[]);
                altered.body = self.signer().frame(&seed, long.as_bytes(), &[8192], signed, trailers);
                altered.set("content-length", altered.body.len().to_string());
                self.push(format!("{kind}: decoded length {name}"), altered);
            }
            for missing in ["x-amz-decoded-content-length", "x-amz-trailer"] {
                let mut altered = Request::new("PUT", "/bucket/a").header("host", "h");
                for name in ["x-amz-decoded-content-length", "x-amz-trailer"] {
                    if let Some(value) = request.get(name).filter(|_| name != missing) {
                        altered.set(name, value);
                    }
                }
                let payload = request.get("x-amz-content-sha256").unwrap().to_owned();
                let seed = self.signer().sign_header(&mut altered, &payload, &[]);
                altered.body = self.signer().frame(&seed, long.as_bytes(), &[8192], signed, trailers);
                altered.set("content-length", altered.body.len().to_string());
                self.push(format!("{kind}: no {missing}"), altered);
            }
        }
    }
}

fn lower_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut left = 0;
    for letter in text.chars() {
        left = if letter == '%' { 3 } else { left };
        out.push(if left > 0 { letter.to_ascii_lowercase() } else { letter });
        left = if left > 0 { left - 1 } else { 0 };
    }
    out
}

pub fn unused() -> String {
    encode(b"", true)
}
