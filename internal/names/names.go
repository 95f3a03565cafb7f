// Package names makes up names for containers that were given none: an
// adjective and the surname of someone who made computers, their theory or
// their software what they are, such as "patient_hopper".
package names

import (
	"math/rand/v2"
	"strconv"
)

// Random makes a name up. attempt counts from 0 the names that were taken;
// from 3 on a number makes a further collision unlikely.
func Random(attempt int) string {
	name := adjectives[rand.IntN(len(adjectives))] + "_" + surnames[rand.IntN(len(surnames))]
	if attempt >= 3 {
		name += strconv.Itoa(rand.IntN(100000))
	}
	return name
}

var adjectives = [...]string{
	"able", "agile", "amber", "ardent", "artful", "balanced", "bold", "brisk", "calm", "candid", "careful", "cheerful",
	"civil", "clear", "clever", "coastal", "cordial", "crisp", "curious", "daring", "deft", "diligent", "eager", "earnest",
	"easy", "elated", "fair", "faithful", "fearless", "fluent", "fond", "frank", "free", "fresh", "frugal", "gentle",
	"glad", "golden", "graceful", "happy", "hardy", "honest", "hopeful", "humble", "jolly", "jovial", "keen", "kind",
	"lively", "logical", "loyal", "lucid", "lucky", "mellow", "merry", "mild", "modest", "musing", "neat", "nimble",
	"noble", "open", "orderly", "patient", "peaceful", "placid", "plucky", "polite", "prompt", "proud", "quick", "quiet",
	"ready", "relaxed", "robust", "serene", "sharp", "sincere", "smart", "snappy", "sober", "steady", "stellar", "sunny",
	"swift", "tidy", "tranquil", "trusty", "upbeat", "valiant", "vivid", "warm", "willing", "wise", "witty", "zealous",
}

var surnames = [...]string{
	"aho", "aiken", "allen", "amdahl", "atanasoff", "babbage", "backus", "bartik", "bellman", "berezin", "berners",
	"blackwell", "blum", "boole", "booth", "borg", "brinch", "brooks", "burnell", "cerf", "church", "clarke", "cocke",
	"codd", "conway", "cook", "cray", "dahl", "davies", "dennis", "diffie", "dijkstra", "eckert", "engelbart", "estrin",
	"feigenbaum", "feinler", "floyd", "flowers", "gauss", "goedel", "goldberg", "goldwasser", "gosling", "granville",
	"gray", "hamilton", "hamming", "hellman", "hilbert", "hoare", "holberton", "hollerith", "hopcroft", "hopper",
	"huffman", "ingalls", "iverson", "jacquard", "jennings", "johnson", "kahan", "kahn", "karp", "kay", "keller",
	"kernighan", "kilburn", "kleene", "kleinrock", "knuth", "lamarr", "lamport", "lampson", "lehmer", "leibniz",
	"lesk", "licklider", "liskov", "lovelace", "mauchly", "mccarthy", "mcilroy", "mead", "merkle", "metcalfe",
	"milner", "minsky", "moore", "napier", "naur", "newell", "noyce", "nygaard", "ossanna", "pascal", "perlis",
	"perlman", "pike", "postel", "rabin", "ritchie", "rivest", "saltzer", "sammet", "schroeder", "scott", "shamir",
	"shannon", "simon", "snyder", "spence", "stibitz", "strachey", "sutherland", "tarjan", "thompson", "torvalds",
	"turing", "ullman", "wilkes", "wilkinson", "williams", "wing", "wirth", "wozniak", "yao", "zuse",
}
