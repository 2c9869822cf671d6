//! What happens to the network of Context API and to its Redis, one after the other.

/// One of the troubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    DatabaseInABlackHole,
    DatabaseRefuses,
    NewQuestionsWithoutADatabase,
    DatabaseFarAway,
    DatabaseCutOff,
    RedisInABlackHole,
    RedisSlow,
    RedisReset,
    RedisCutOff,
    RedisKilled,
}

/// In the order in which they happen.
pub(super) const ALL: [Trouble; 10] = [
    Trouble::DatabaseInABlackHole,
    Trouble::DatabaseRefuses,
    Trouble::NewQuestionsWithoutADatabase,
    Trouble::DatabaseFarAway,
    Trouble::DatabaseCutOff,
    Trouble::RedisInABlackHole,
    Trouble::RedisSlow,
    Trouble::RedisReset,
    Trouble::RedisCutOff,
    Trouble::RedisKilled,
];

impl Trouble {
    /// For what is wrong meanwhile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DatabaseInABlackHole => "database in a black hole",
            Self::DatabaseRefuses => "database refuses",
            Self::NewQuestionsWithoutADatabase => "database in a black hole, new questions",
            Self::DatabaseFarAway => "database far away",
            Self::DatabaseCutOff => "database cut off amid an answer",
            Self::RedisInABlackHole => "Redis in a black hole",
            Self::RedisSlow => "Redis slow",
            Self::RedisReset => "Redis reset",
            Self::RedisCutOff => "Redis cut off amid an answer",
            Self::RedisKilled => "Redis killed",
        }
    }

    /// What shows that it happened.
    pub(super) fn evidence(self) -> &'static str {
        match self {
            Self::DatabaseInABlackHole => "stale answers from a black hole",
            Self::DatabaseRefuses => "stale answers without a database",
            Self::NewQuestionsWithoutADatabase => "refusals of what nobody asked before",
            Self::DatabaseFarAway => "answers of the database that were slow",
            Self::DatabaseCutOff => "answers of the database cut off",
            Self::RedisInABlackHole => "waits for a Redis in a black hole",
            Self::RedisSlow => "answers of Redis that were slow",
            Self::RedisReset => "connections to Redis reset",
            Self::RedisCutOff => "answers of Redis cut off",
            Self::RedisKilled => "connections to a Redis that was gone",
        }
    }
}
