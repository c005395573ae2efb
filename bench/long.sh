# What takes minutes with ES_FULL=1, for bench/full.sh and .ci/run; bench/simulate.sh
# has the simulations.
long='^Test(LargeName$|LoadedFactsOfIndex|Threat(6Rollback|7Withholding|12|15HostileText|24|25OneByteAtATime|27|52Attacker))'
simulations='^Test(Churn|Village)'
