package records

// Limits of the format (SPEC.md section 5). Changing one changes which records
// exist, so they are constants of format version 1 and not configuration.
const (
	MaxRecord    = 16 << 10 // bytes of an encoded record
	MaxSignature = 1 << 10  // bytes of the signature packet
	MaxKeyBlock  = 14 << 10 // bytes of a minimal key block
	MaxEnvelope  = 18 << 10 // bytes of an encoded envelope
	MaxFrame     = 32 << 10 // bytes of an envelope with its key block, on gossip
	MaxDepth     = 8        // nesting of maps and lists in a record

	MaxPrev       = 4
	MaxName       = 128  // bytes, scope included
	MaxVersion    = 128  // bytes
	MaxTag        = 64   // bytes
	MaxText       = 256  // bytes of one free text
	MaxLongText   = 1024 // bytes of a version range, and of what a notice or an endorsement says
	MaxMapEntries = 512
	MaxListItems  = 256
	MaxRefs       = 16 // references of one advisory
	MaxOriginSigs = 8  // registry signatures of one import
	MaxDepthGrant = 3  // delegation depth
	MaxScopes     = 32 // scopes of one delegation

	MaxFiles      = 150_000 // files in a module
	MaxModuleSize = 2 << 30 // bytes of all files of a module

	// MaxTime is the last second that a record may name: 9999-12-31T23:59:59Z.
	MaxTime = 253402300799
	// SigningDelay is how many seconds may pass between a record's time and its
	// signature: someone has to find their smartcard.
	SigningDelay = 600
)
