package modules

func setUmask(mask int) int { return mask }
