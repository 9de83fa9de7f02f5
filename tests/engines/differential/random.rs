//! Random numbers that come again: one seed, the same requests on every machine.

/// SplitMix64; enough for choosing, and ten lines
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One stream of numbers for each place in a run
    pub fn of(seed: u64, request: u64, step: u64) -> Self {
        let mut random = Self(seed);
        for part in [request, step] {
            random.0 = random.next() ^ part;
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// True `times` of `all` times
    pub fn chance(&mut self, times: usize, all: usize) -> bool {
        self.below(all) < times
    }

    /// One of several; there must be one
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}
