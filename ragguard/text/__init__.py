"""Plain-text helpers that every pillar may use: words and sentences, with offsets."""
