//! The examples of KMIP 1.4, 9.1.2, and what they are not.
#![allow(clippy::unwrap_used)]

use zeroize::Zeroizing;

use super::{Item, Malformed, Tag, Value, decode, encode};

/// The tag of the examples.
const TAG: Tag = Tag(0x42_0020);

/// Each type's example.
fn examples() -> Vec<(Value, &'static str)> {
    let structure = vec![Item::enumeration(Tag(0x42_0004), 254), Item::integer(Tag(0x42_0005), 255)];
    vec![
        (Value::Integer(8), "42002002000000040000000800000000"),
        (Value::LongInteger(123_456_789_000_000_000), "420020030000000801B69B4BA5749200"),
        (Value::BigInteger(unhex("0000000003FD35EB6BC2DF4618080000")), "42002004000000100000000003FD35EB6BC2DF4618080000"),
        (Value::Enumeration(255), "4200200500000004000000FF00000000"),
        (Value::Boolean(true), "42002006000000080000000000000001"),
        (Value::Text(Zeroizing::new("Hello World".to_owned())), "420020070000000B48656C6C6F20576F726C640000000000"),
        (Value::Bytes(Zeroizing::new(vec![1, 2, 3])), "42002008000000030102030000000000"),
        (Value::DateTime(1_205_495_800), "42002009000000080000000047DA67F8"),
        (Value::Interval(864_000), "4200200A00000004000D2F0000000000"),
        (Value::Structure(structure), "42002001000000204200040500000004000000FE000000004200050200000004000000FF00000000"),
    ]
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn defect(hex: &str) -> Malformed {
    decode(&unhex(hex)).err().unwrap()
}

#[test]
fn the_examples_of_the_specification_are_written_as_it_says() {
    for (value, hex) in examples() {
        assert_eq!(*encode(&Item { tag: TAG, value }), unhex(hex), "{hex}");
    }
}

#[test]
fn the_examples_of_the_specification_are_read_as_it_says() {
    for (value, hex) in examples() {
        assert!(decode(&unhex(hex)).unwrap() == Item { tag: TAG, value }, "{hex}");
    }
}

#[test]
fn no_example_can_be_cut_or_lengthened() {
    for (_, hex) in examples() {
        let bytes = unhex(hex);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]).err(), Some(Malformed::CutOff), "{hex} cut to {len}");
        }
        assert_eq!(decode(&[bytes, vec![0]].concat()).err(), Some(Malformed::Surplus), "{hex}");
    }
}

#[test]
fn a_length_that_does_not_fit_its_type_is_refused() {
    for hex in ["42002002000000030000000000000000", "42002003000000040000000000000000", "42002004000000040000000000000000"] {
        assert_eq!(defect(hex), Malformed::Length, "{hex}");
    }
}

#[test]
fn a_length_beyond_the_message_sets_nothing_aside() {
    assert_eq!(defect("42002008FFFFFFFF0102030000000000"), Malformed::CutOff);
    assert_eq!(defect("42002001FFFFFFFF"), Malformed::CutOff);
    // A field longer than the structure around it.
    assert_eq!(defect("42002001000000104200080800000010000000000000000000000000000000000000"), Malformed::CutOff);
}

#[test]
fn unknown_types_and_impossible_values_are_refused() {
    assert_eq!(defect("4200200B000000080000000000000000"), Malformed::Type);
    assert_eq!(defect("42002006000000080000000000000002"), Malformed::Value);
    assert_eq!(defect("4200200700000001FF00000000000000"), Malformed::Value);
}

#[test]
fn structures_nest_only_so_deep() {
    let nested = |depth: usize| (0..depth).fold(Item::integer(TAG, 1), |item, _| Item::structure(TAG, vec![item]));
    assert!(decode(&encode(&nested(16))).is_ok());
    assert_eq!(decode(&encode(&nested(17))).err(), Some(Malformed::TooMuch));
}

#[test]
fn a_message_has_only_so_many_fields() {
    let wide = |count: usize| Item::structure(TAG, (0..count).map(|_| Item::structure(TAG, Vec::new())).collect());
    assert!(decode(&encode(&wide(49_999))).is_ok());
    assert_eq!(decode(&encode(&wide(50_000))).err(), Some(Malformed::TooMuch));
}
