#![allow(clippy::unwrap_used)]

use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use strongroom_engine::{Error, api::BodyError, budget::Budget};

use super::{
    Fields, PostError,
    multipart::{MAX_BEFORE_FILE_BYTES, boundary, open},
};
use crate::{body::tests::raw, refusal::Refusal};

const BOUNDARY: &str = "----x";

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    [format!("--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
}

fn field(name: &str, value: &str) -> Vec<u8> {
    part(&format!("form-data; name=\"{name}\""), value.as_bytes())
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    part(&format!("form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain"), content)
}

fn end() -> Vec<u8> {
    format!("--{BOUNDARY}--\r\n").into_bytes()
}

/// The fields and the file of a form that comes in these pieces.
async fn read(pieces: &[&[u8]]) -> Result<(Vec<(String, String)>, Vec<u8>), Refusal> {
    let (fields, file) = open(raw(pieces), BOUNDARY, &Budget::new(1 << 20)).await?;
    let read: Result<Vec<_>, BodyError> = file.try_collect().await;
    Ok((fields.to_vec(), read.map_err(|error| Refusal::Engine(Error::Body(error)))?.concat()))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn refused(pieces: &[&[u8]]) -> PostError {
    match wait(read(pieces)) {
        Err(Refusal::Post(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Bytes that look like the boundary again and again.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let pieces = ["\r", "\n", "\r\n", "--", "\r\n--", "\r\n----", "\r\n------", "----x", "--x", "a", "\0"];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_form_reads_the_same_however_it_is_cut(
        values in prop::collection::vec("[a-z0-9\r\n -]{0,30}", 0..4),
        content in tricky(),
        behind in tricky(),
        cuts in prop::collection::vec(0..1000_usize, 0..12),
    ) {
        let delimiter = format!("\r\n--{BOUNDARY}");
        let is_clean = |bytes: &[u8]| !String::from_utf8_lossy(&[b"\r\n", bytes, b"\r"].concat()).contains(&delimiter);
        prop_assume!(is_clean(&content) && values.iter().all(|value| is_clean(value.as_bytes())));
        let fields: Vec<_> = values.into_iter().enumerate().map(|(number, value)| (format!("f{number}"), value)).collect();
        let mut form: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
        form.extend(file("a", &content));
        form.extend(end());
        form.extend(behind);
        let mut places: Vec<_> = cuts.iter().map(|cut| cut * form.len() / 1000).chain([0, form.len()]).collect();
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|pair| &form[pair[0]..pair[1]]).collect();
        let single: Vec<_> = form.chunks(1).collect();
        for pieces in [pieces, single] {
            let read = wait(read(&pieces)).unwrap();
            prop_assert_eq!(&read, &(fields.clone(), content.clone()));
        }
    }

    #[test]
    fn nothing_that_is_sent_as_a_form_is_a_panic(bytes in tricky(), head in prop::sample::select(vec!["", "------x\r\n", "------x\r\nContent-Disposition: "])) {
        let form = [head.as_bytes(), &bytes].concat();
        drop(wait(read(&form.chunks(3).collect::<Vec<_>>())));
    }
}

#[test]
fn what_is_no_form_is_refused_and_says_why() {
    let whole = |parts: &[Vec<u8>]| parts.concat();
    let malformed = [
        Vec::new(),
        b"no form".to_vec(),
        whole(&[field("key", "a"), b"--other".to_vec()]),
        format!("--{BOUNDARY}\r\n\r\nvalue\r\n--{BOUNDARY}--").into_bytes(),
        whole(&[part("attachment; name=\"key\"", b"a"), file("f", b"x"), end()]),
        whole(&[part("form-data", b"a"), file("f", b"x"), end()]),
        whole(&[part("form-data; name=\"key", b"a"), file("f", b"x"), end()]),
        whole(&[part("form-data; name=\"key\"\r\nContent-Disposition: form-data; name=\"acl\"", b"a"), file("f", b"x"), end()]),
        whole(&[part("form-data; name=\"key\"", b"\xff"), file("f", b"x"), end()]),
        whole(&[part(&format!("form-data; name=\"{}\"", "n".repeat(9000)), b"a"), file("f", b"x"), end()]),
    ];
    for form in malformed {
        assert_eq!(refused(&[&form]), PostError::Malformed, "{}", String::from_utf8_lossy(&form));
    }
    assert_eq!(refused(&[&whole(&[field("key", "a"), end()])]), PostError::NoFile);
    let long = whole(&[field("key", &"a".repeat(20 << 10)), file("f", b"x"), end()]);
    assert_eq!(refused(&[&long]), PostError::TooLong, "name and value are more than 20 KiB together");
    let many = whole(&vec![field("x", ""); MAX_BEFORE_FILE_BYTES / 40]);
    assert_eq!(refused(&[&many]), PostError::TooLong);
    let begun = field("key", "");
    assert_eq!(refused(&[&begun[..begun.len() - 2], &vec![b'a'; 1 << 20]]), PostError::TooLong, "a value without an end");
}

#[test]
fn a_form_holds_of_the_budget_what_its_fields_need() {
    let budget = Budget::new(40 << 10);
    let opened =
        |form: Vec<u8>| wait(open(raw(&[&form]), BOUNDARY, &budget)).map(|(fields, file)| (budget.usage().used_bytes, fields, file));
    let small = [field("key", "a"), file("f", &vec![b'x'; 100_000]), end()].concat();
    let (used, _, file_of_it) = opened(small).unwrap();
    assert_eq!(used, 8 << 10, "until what came of the file with the fields is taken");
    drop(file_of_it);
    let large = [field("key", &"a".repeat(10_000)), file("f", b"x"), end()].concat();
    assert!(matches!(opened(large), Err(Refusal::Engine(Error::Busy))), "there is no room for the largest form");
    assert_eq!(budget.usage().used_bytes, 0);
}

#[test]
fn a_file_that_breaks_off_is_incomplete() {
    let form = [field("key", "a"), file("f", b"the file"), end()].concat();
    let begin = [field("key", "a"), file("f", b"")].concat().len() - 2;
    let delimiter = begin + b"the file".len() + 2 + format!("--{BOUNDARY}").len();
    for len in begin..delimiter {
        let read = wait(read(&[&form[..len]]));
        assert!(matches!(read, Err(Refusal::Engine(Error::Body(BodyError::Incomplete)))), "{len}: {read:?}");
    }
    assert_eq!(wait(read(&[&form[..delimiter]])).unwrap().1, b"the file");
}

#[test]
fn the_name_of_the_file_stands_in_for_its_variable() {
    let of = |filename: &str, value: &str| {
        let form = [field("key", value), field("policy", "${filename}"), file(filename, b""), end()].concat();
        wait(read(&[&form])).unwrap().0
    };
    for (filename, expected) in
        [("a.txt", "up/a.txt"), ("C:\\photos\\a.txt", "up/a.txt"), ("/pictures/mine/a.txt", "up/a.txt"), ("", "up/"), ("a\\\"b", "up/a\"b")]
    {
        assert_eq!(of(filename, "up/${filename}")[0].1, expected, "{filename}");
    }
    assert_eq!(of("f", "${filename}-${filename}")[0].1, "f-f");
    assert_eq!(of("f", "x")[1].1, "${filename}", "what is signed stays as it is");
}

#[test]
fn a_boundary_is_what_its_content_type_says() {
    let of = |value: &str| boundary(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap())]));
    for value in [
        "multipart/form-data; boundary=----x",
        "multipart/form-data;charset=utf-8;  Boundary = \"----x\" ",
        "multipart/form-data; boundary=----x; charset=utf-8",
    ] {
        assert_eq!(of(value).as_deref(), Ok(BOUNDARY), "{value}");
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for value in
        ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"x", "multipart/form-data; x=y", &long]
    {
        assert_eq!(of(value), Err(PostError::Malformed), "{value}");
    }
}

fn headers(pairs: &[(&str, &str)]) -> Result<HeaderMap, Refusal> {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.push((*name).to_owned(), (*value).to_owned());
    }
    fields.headers()
}

#[test]
fn fields_are_the_headers_of_a_put_object_and_no_others() {
    let tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>";
    let given = [
        ("Key", "k"),
        ("Policy", "p"),
        ("X-Amz-Signature", "s"),
        ("x-amz-security-token", "t"),
        ("AWSAccessKeyId", "a"),
        ("success_action_status", "201"),
        ("x-ignore-me", "i"),
        ("ACL", "private"),
        ("Content-Type", "text/plain"),
        ("Content-MD5", "m"),
        ("tagging", tagging),
        ("x-amz-meta-Colour", "blue"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ];
    let mut found: Vec<_> = headers(&given).unwrap().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    found.sort_unstable();
    let expected = [
        "content-md5: m",
        "content-type: text/plain",
        "x-amz-acl: private",
        "x-amz-checksum-crc32: AAAAAA==",
        "x-amz-meta-colour: blue",
        "x-amz-object-lock-mode: GOVERNANCE",
        "x-amz-server-side-encryption: AES256",
        "x-amz-tagging: a%20b=1%262",
    ];
    assert_eq!(found, expected);
    for (name, value) in
        [("x-amz-copy-source", "/b/k"), ("x-amz-trailer", "x"), ("x-amz-bypass-governance-retention", "true"), ("Expires", "a\r\nb: c")]
    {
        assert!(matches!(headers(&[(name, value)]), Err(Refusal::InvalidArgument(_))), "{name}");
    }
    assert!(matches!(headers(&[("tagging", "a=b")]), Err(Refusal::MalformedXml)));
}
