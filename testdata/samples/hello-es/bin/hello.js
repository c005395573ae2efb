#!/usr/bin/env node
'use strict'

console.log(require('../')(process.argv[2], process.argv[3]))
