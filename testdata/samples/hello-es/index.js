'use strict'

var greeting = require('@everythingstays/greeting')

module.exports = function hello (name, language) {
  return greeting.greet(name || 'world', language)
}
