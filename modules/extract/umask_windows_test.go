package extract

func setUmask(mask int) int { return mask }
