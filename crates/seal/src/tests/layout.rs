use proptest::prelude::*;

use crate::*;

const CHUNK: u64 = CHUNK_LEN as u64;

fn layout(layers: Layers, len: u64) -> Layout {
    Layout::new(layers, len).unwrap()
}

#[test]
fn the_sealed_length_is_that_of_the_format() {
    for (len, chunks) in [(0, 1), (1, 1), (CHUNK - 1, 1), (CHUNK, 1), (CHUNK + 1, 2), (2 * CHUNK, 2), (MAX_PART_LEN, 1 << 32)] {
        for (layers, overhead) in [(Layers::One, 16), (Layers::Two, 32)] {
            let layout = layout(layers, len);
            assert_eq!((layout.chunk_count(), layout.sealed_len()), (chunks, 48 + len + chunks * overhead));
            assert_eq!((layout.layers(), layout.plaintext_len()), (layers, len));
            assert_eq!(layout.sealed_chunk_len(chunks), 0);
            assert!(layout.is_last(chunks - 1) && !layout.is_last(chunks));
        }
    }
    assert_eq!(Layout::new(Layers::One, MAX_PART_LEN + 1), Err(SealError::TooLong));
}

#[test]
fn an_empty_part_is_read_by_opening_its_one_chunk() {
    let span = layout(Layers::Two, 0).span(0, 0);
    assert_eq!(span, ChunkSpan { first_chunk: 0, chunk_count: 1, sealed_offset: 48, sealed_len: 32, skip: 0, take: 0 });
}

#[test]
fn a_span_at_a_chunk_boundary_touches_one_chunk_only() {
    let layout = layout(Layers::One, 3 * CHUNK + 5);
    let stride = CHUNK + 16;
    let span = |offset, len| layout.span(offset, len);
    let chunk = |first_chunk, chunk_count, sealed_len, skip, take| ChunkSpan {
        first_chunk,
        chunk_count,
        sealed_offset: 48 + first_chunk * stride,
        sealed_len,
        skip,
        take,
    };
    assert_eq!(span(CHUNK - 1, 1), chunk(0, 1, stride, CHUNK - 1, 1));
    assert_eq!(span(CHUNK, 1), chunk(1, 1, stride, 0, 1));
    assert_eq!(span(CHUNK - 1, 2), chunk(0, 2, 2 * stride, CHUNK - 1, 2));
    assert_eq!(span(CHUNK, CHUNK), chunk(1, 1, stride, 0, CHUNK));
    assert_eq!(span(3 * CHUNK + 4, u64::MAX), chunk(3, 1, 21, 4, 1));
    assert_eq!(span(0, u64::MAX), chunk(0, 4, 3 * stride + 21, 0, 3 * CHUNK + 5));
    assert_eq!((span(CHUNK, 0).chunk_count, span(CHUNK, 0).sealed_len), (0, 0));
    assert_eq!((span(u64::MAX, 7).chunk_count, span(u64::MAX, 7).take), (0, 0));
}

proptest! {
    #[test]
    fn a_span_is_the_chunks_that_hold_the_range(len in 0..5 * CHUNK, offset in 0..6 * CHUNK, take in 0..6 * CHUNK, two in any::<bool>()) {
        let layout = layout(if two { Layers::Two } else { Layers::One }, len);
        let span = layout.span(offset, take);
        // The model walks over the chunks one by one.
        let (mut at, mut wanted) = (48, Vec::new());
        for chunk in 0..layout.chunk_count() {
            let sealed = layout.sealed_chunk_len(chunk) as u64;
            let (from, to) = (chunk * CHUNK, ((chunk + 1) * CHUNK).min(len));
            if from.max(offset) < to.min(offset + take) || len == 0 {
                wanted.push((chunk, at, sealed));
            }
            at += sealed;
        }
        prop_assert_eq!(at, layout.sealed_len());
        prop_assert_eq!(span.chunk_count, wanted.len() as u64);
        prop_assert_eq!(span.take, (offset + take).min(len).saturating_sub(offset));
        prop_assert_eq!(span.sealed_len, wanted.iter().map(|chunk| chunk.2).sum::<u64>());
        if let Some(first) = wanted.first() {
            prop_assert_eq!((span.first_chunk, span.sealed_offset), (first.0, first.1));
            prop_assert_eq!(span.first_chunk * CHUNK + span.skip, offset.min(len));
        }
    }
}
