'use strict'

var fs = require('fs')
var path = require('path')
var words = require('./lib/words')

// greet returns a greeting for name in the language, or in English when the
// language is not one of languages.
exports.greet = function greet (name, language) {
  var word = words[language] || words.en
  return word + ', ' + name + '!'
}

exports.languages = Object.keys(words)

// longGreeting reads the one file here whose name is not ASCII.
exports.longGreeting = function longGreeting () {
  return fs.readFileSync(path.join(__dirname, 'data', 'grüße.txt'), 'utf8').trim()
}
